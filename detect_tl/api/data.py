"""Annotations: which formats there are, and converting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

from detect_tl.api.reading import Reading
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress
from detect_tl.core.shard_size import ShardSize


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """One annotation format.

    losses: what writing it cannot keep. options: what reading it can be told, such as "columns".
    """

    name: str
    title: str
    description: str
    reads: bool
    writes: bool
    losses: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FormatsResult:
    """All formats on offer, built in and from plug-ins, by name."""

    formats: tuple[FormatInfo, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "formats": [
                {
                    "name": item.name,
                    "title": item.title,
                    "description": item.description,
                    "reads": item.reads,
                    "writes": item.writes,
                    "losses": list(item.losses),
                    "options": list(item.options),
                }
                for item in self.formats
            ]
        }


def formats(*names: str) -> FormatsResult:
    """The annotation formats that can be read and written: those of these names, or all.

    Raises UsageError for an unknown name.
    """
    from detect_tl.formats.base import load_formats

    return FormatsResult(
        tuple(
            FormatInfo(
                item.name,
                item.title,
                item.description,
                reads=True,
                writes=item.write is not None,
                losses=tuple(item.losses.values()),
                options=tuple(sorted(item.options)),
            )
            for item in load_formats(names or None)
        )
    )


@dataclass(frozen=True, slots=True)
class FormatOfResult:
    """The format that annotations are in, "+" between several; why this one, and no other."""

    data: Path
    format: str
    explanation: str

    def as_json(self) -> dict[str, Any]:
        return {"data": str(self.data), "format": self.format, "explanation": self.explanation}


def formats_of(data: Path, **reading: Unpack[Reading]) -> FormatOfResult:
    """Say which format annotations are in, from a look at the ends of files.

    Raises DataError when it is none, or several that describe the same images.
    """
    from detect_tl.formats.detect import explain
    from detect_tl.formats.options import ReadOptions

    return FormatOfResult(Path(data), *explain(Path(data), options=ReadOptions(**reading)))


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """The dataset folder that was written.

    format, explanation: of the source, and why. splits: images by split; split_reason: why so.
    classes: objects by name. report: what was read, changed and lost on the way.
    """

    folder: Path
    data_yaml: Path
    task: Task
    format: str
    explanation: str
    splits: dict[str, int]
    split_reason: str
    classes: dict[str, int]
    report: Report

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "data_yaml": str(self.data_yaml),
            "task": self.task,
            "format": self.format,
            "explanation": self.explanation,
            "images": self.splits,
            "split_reason": self.split_reason,
            "objects_per_class": self.classes,
            "report": self.report.as_json(),
        }


def convert(
    source: Path,
    destination: Path,
    *,
    to: Sequence[str] = ("yolo", "coco"),
    split: Sequence[float] | None = None,
    seed: int = 0,
    group_by: str | None = None,
    link: Literal["copy", "hard", "soft"] = "copy",
    task: Task | Literal["auto"] = "auto",
    shard_size: ShardSize | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> ConvertResult:
    """Turn annotations in any known format into a dataset folder, whole or not at all.

    to: names of the formats to write. split: fractions of train, val and test; None keeps the
    splits of the source. group_by: what stays together where images are divided, as in `split`.
    link: how images get into the folder. task: "auto" writes outlines when most objects have a
    mask. shard_size: of WebDataset shards; None for 10,000 images or a gigabyte.
    reading: what is known of the source, see `Reading`.

    Raises UsageError when `destination` is not empty, DataError for annotations that cannot be
    used, MachineError when the disk is full.
    """
    from detect_tl.curate import convert as room
    from detect_tl.formats.options import ReadOptions

    made = room.convert(
        Path(source),
        Path(destination),
        to=to,
        reading=ReadOptions(**reading),
        split=split,
        seed=seed,
        group_by=group_by,
        link=link,
        task=task,
        shard_size=shard_size,
        progress=progress,
    )
    return ConvertResult(
        made.folder,
        made.data_yaml,
        made.task,
        made.format,
        made.explanation,
        made.split.counts(),
        made.split.reason,
        made.written.as_written.objects_per_class(),
        made.report,
    )
