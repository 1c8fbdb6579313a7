"""The weights that have a name: where they are published, what they weigh, what they are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import orjson

from detect_tl.core.errors import WeightsError, did_you_mean
from detect_tl.core.model_spec import Task

URL_VARIABLE = "DETECT_TL_WEIGHTS_URL"
"""Environment variable with the address of a mirror that serves the files under their names."""

STARTER = "starter"
STARTER_NOTE = "synthetic starter, not COCO"

_RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
_LICENCE = "AGPL-3.0"
_FAMILIES = {"yolov8": "YOLOv8", "yolo11": "YOLO11", "yolo26": "YOLO26"}
_OLDER = "an older official file of that name (release v8.1.0 and before, and the YOLOv8 mirror)"
# Published beside the 30, but nobody has written their checksums down.
_WITHOUT_SUM = ("yolo12n", "yolo12s", "yolo12m", "yolo12l", "yolo12x")
_OPEN_VOCABULARY = (
    *(f"yoloe-11{size}-seg" for size in "sml"),
    *(f"yoloe-26{size}-seg" for size in "nsmlx"),
    *(f"yoloe-v8{size}-seg" for size in "sml"),
    *(f"yolov8{size}-worldv2" for size in "smlx"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsEntry:
    """Weights that can be named.

    name: without ".pt".
    size: of the file in bytes; None where unknown.
    sha256: of the file; None where unknown, and then the user must vouch for it.
    parameters: number of weights for the 80 classes of COCO.
    trained_on: what the detector learned before.
    """

    name: str
    task: Task
    family: str
    size: int | None = None
    sha256: str | None = None
    parameters: int | None = None
    trained_on: str = "COCO"
    licence: str = _LICENCE

    @property
    def file(self) -> str:
        return f"{self.name}.pt"

    @property
    def embedded(self) -> bool:
        """Whether it comes with the package instead of from a release."""
        return self.name == STARTER

    @property
    def url(self) -> str:
        """Where the file is published, or the mirror that the environment names has it."""
        base = os.environ.get(URL_VARIABLE, "").rstrip("/") or _RELEASE
        return "" if self.embedded else f"{base}/{self.file}"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is by its checksum."""

    kind: Literal["official", "older official", "unknown"]
    name: str | None
    description: str


def official() -> tuple[WeightsEntry, ...]:
    """The official weights with a known checksum, by family and size."""
    return tuple(entry for entry in _entries().values() if entry.sha256)


def open_vocabulary() -> tuple[WeightsEntry, ...]:
    """Weights that find what they are told to by name, with the help of a text encoder."""
    return tuple(_entries()[name] for name in _OPEN_VOCABULARY)


def find(name: str) -> WeightsEntry:
    """Return what is known of weights by name, with or without ".pt".

    Raises WeightsError for an unknown name.
    """
    entries, stem = _entries(), _stem(name)
    if stem not in entries:
        raise WeightsError(
            f"no weights are called {name!r}",
            hint=f"{did_you_mean(stem, entries)} See `detect-tl weights list`, or name a .pt file.",
        )
    return entries[stem]


def is_known(name: str) -> bool:
    """Whether `find` would find it."""
    return _stem(name) in _entries()


def recognise(sha256: str) -> Recognised:
    """Say what a file is by its SHA-256 (hexadecimal, lower case)."""
    for entry in official():
        if entry.sha256 == sha256:
            return Recognised("official", entry.name, f"the official {entry.file}")
    older = _document()["older"].get(sha256)
    if older is not None:
        return Recognised("older official", older["name"], _OLDER)
    return Recognised("unknown", None, "not an official file")


def _stem(name: str) -> str:
    return name.strip().lower().removesuffix(".pt")


@cache
def _entries() -> dict[str, WeightsEntry]:
    entries = [
        WeightsEntry(
            name=name,
            task="segment" if name.endswith("-seg") else "detect",
            family=_family(name),
            size=row["bytes"],
            sha256=row["sha256"],
            parameters=row["parameters"],
        )
        for name, row in _document()["official"].items()
    ]
    entries += [WeightsEntry(name=n, task="detect", family="YOLO12") for n in _WITHOUT_SUM]
    entries += [_open_vocabulary_entry(name) for name in _OPEN_VOCABULARY]
    entries.append(
        WeightsEntry(name=STARTER, task="detect", family="YOLO11", trained_on=STARTER_NOTE)
    )
    return {entry.name: entry for entry in entries}


def _open_vocabulary_entry(name: str) -> WeightsEntry:
    world = "world" in name
    return WeightsEntry(
        name=name,
        task="detect" if world else "segment",
        family="YOLO-World" if world else "YOLOE",
        trained_on="pictures with texts",
    )


def _family(name: str) -> str:
    found = re.match(r"[a-z]+\d+", name)
    return _FAMILIES[found.group()] if found else name


@cache
def _document() -> dict[str, dict[str, Any]]:
    text = files("detect_tl.transfer").joinpath("manifest.json").read_bytes()
    document: dict[str, dict[str, Any]] = orjson.loads(text)
    return document
