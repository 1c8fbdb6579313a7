"""The tasks of Label Studio, whichever of its exports they come in.

JSON is a list of tasks with their annotations ("completions" before version 1.0). A storage gets
one file per task, or one per annotation that carries its task. JSON-MIN has a record for every
annotation, with the regions under the names of their controls.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.formats.accounts import Account
from detect_tl.formats.label_studio.region import size_in

_Record = Mapping[str, Any]

_LOCAL = re.compile(r"/data/local-files/?\?")
_SIGNED = re.compile(r"/(presign|resolve)/?\?")
_REGION = frozenset({"original_width", "original_height"})


@dataclass(frozen=True, slots=True)
class Task:
    """An image and what was said of it.

    names: of the image, most trusted first; may be empty. damaged: annotations without a result.
    """

    names: tuple[str, ...]
    accounts: tuple[Account, ...]
    predictions: int = 0
    damaged: int = 0


def tasks_of(document: Any) -> Iterator[Task | None]:
    """The tasks of a file, None in the place of a record that is none."""
    for record in document if isinstance(document, list) else [document]:
        yield _task(record) if isinstance(record, dict) else None


def _task(record: _Record) -> Task | None:
    task: Any = record.get("task")
    annotations: Any = [record]
    if not isinstance(task, dict) or "result" not in record:
        task, annotations = record, record.get("annotations", record.get("completions"))
    data: Any = task.get("data")
    if annotations is None and data is None:
        return _minimal(record)
    if not isinstance(annotations, list) or not isinstance(data, dict):
        return None
    sound = [a for a in annotations if isinstance(a, dict) and isinstance(a.get("result"), list)]
    found = tuple(map(_account, sound))
    predictions = task.get("predictions")
    count = len(predictions) if isinstance(predictions, list) else 0
    return Task(tuple(_names(data, found)), found, count, len(annotations) - len(sound))


def _account(record: _Record) -> Account:
    parts = record["result"]
    skipped = record.get("was_cancelled", record.get("skipped"))
    truth = bool(record.get("ground_truth"))
    return Account(parts, size_in(parts), bool(skipped), truth, _updated(record))


def _updated(record: _Record) -> str:
    return str(record.get("updated_at") or record.get("created_at") or "")


def _minimal(record: _Record) -> Task | None:
    """A record of JSON-MIN; its regions have neither types nor ids."""
    result = [
        {"from_name": key, "value": value, **{k: value.get(k) for k in _REGION}}
        for key, values in record.items()
        if isinstance(values, list)
        for value in values
        if isinstance(value, dict)
    ]
    if not result and "annotation_id" not in record:
        return None
    account = Account(result, size_in(result), updated=_updated(record))
    return Task(tuple(_names(record, [account])), (account,))


def _names(data: _Record, accounts: Sequence[Account]) -> Iterator[str]:
    """What the data of a task call its image.

    Of several pictures, it is the one under the name of the <Image> that was labelled, which the
    regions are said to be drawn on, else the one that is called "image", else the first.
    """
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    pictures = [key for key, value in texts.items() if _is_picture(value)]
    drawn_on = [
        str(part.get("to_name"))
        for account in accounts
        for part in account.records
        if isinstance(part, dict)
    ]
    wanted = [*drawn_on[:1], "image", *pictures[:1]]
    key = next((key for key in wanted if key in texts), None)
    if key is not None:
        yield from _spellings(texts[key])


def _is_picture(text: str) -> bool:
    return text.startswith("/data/") or any(
        spelled.lower().endswith(tuple(IMAGE_SUFFIXES)) for spelled in _spellings(text)
    )


def _spellings(address: str) -> Iterator[str]:
    """The file behind an address of Label Studio's own, and without what follows the path."""
    query = _query(address)
    if _LOCAL.search(address) and "d" in query:
        yield query["d"][0]
    elif _SIGNED.search(address) and "fileuri" in query:
        yield _unpacked(query["fileuri"][0])
    yield address
    bare = re.split(r"[?#]", address, maxsplit=1)[0]
    if bare != address:
        yield bare


def _query(address: str) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(urlsplit(address).query)
    except ValueError:
        return {}


def _unpacked(text: str) -> str:
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.urlsafe_b64decode(padded).decode()
    except (binascii.Error, ValueError):
        return text
