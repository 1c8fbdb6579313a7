"""Reading one shard: a process, on this machine or another, reads it from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from detect_tl.core.columns import Rows, table_of
from detect_tl.core.dataset import Instance, Sample, Samples
from detect_tl.core.errors import DataError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report, Severity
from detect_tl.core.image_header import ImageHeader, header_of
from detect_tl.formats.gather import fate_of
from detect_tl.formats.records import UNREADABLE, size_of, split_of_stem, why
from detect_tl.formats.source import split_name
from detect_tl.formats.webdataset.record import instance_of
from detect_tl.formats.webdataset.tar import Member, TarError, content, members
from detect_tl.formats.webdataset.unpack import Unpacker

# Bytes of a record that show what it is.
_PEEK = 16 * 1024
# Bytes; no honest file comes near, and one more would fill the memory.
_LARGEST_RECORD = 64 << 20
_LARGEST_IMAGE = 512 << 20


class ShardTask(NamedTuple):
    """A shard to be read.

    short: the shard as seen from the source. cache, beside: see `Unpacker`.
    split: of samples that name none.
    """

    path: Path
    short: str
    cache: Path
    beside: Path | None
    split: str | None


@dataclass(slots=True)
class Shard:
    """What was read of a shard: its samples, with classes numbered as they were met in it.

    met: pictures that are told of, whether they could be used or not.
    """

    names: list[str] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)
    report: Report = field(default_factory=Report)
    met: int = 0


def read_shard(task: ShardTask) -> Shard:
    """Read all samples of a shard; what is wrong with it is in its report, with the offset.

    Raises DataError when the file cannot be opened.
    """
    try:
        with task.path.open("rb") as stream:
            return _Reading(task, stream).shard()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=task.path) from error


def first_records(path: Path, most: int = 8) -> bytes:
    """The beginnings of the JSON files among the first few files of a shard, one after another."""
    found = b""
    try:
        with path.open("rb") as stream:
            for _, member in zip(range(most), members(stream), strict=False):
                if _key_and_suffix(member.name)[1] == ".json":
                    stream.seek(member.start)
                    found += stream.read(min(member.size, _PEEK))
    except (OSError, TarError):
        return found  # what is damaged is told by the reader, of shards that are recognised
    return found


def _key_and_suffix(name: str) -> tuple[str, str]:
    """ "a/000123.jpg" is "a/000123" and ".jpg": a key ends at the first dot of the file's name."""
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{ending}".lower()


class _Pair(NamedTuple):
    image: Member | None
    record: Member | None
    suffix: str


class _Reading:
    def __init__(self, task: ShardTask, stream: BinaryIO) -> None:
        self._task = task
        self._stream = stream
        self._shard = Shard()
        self._ids: dict[str, int] = {}
        self._unpacker = Unpacker(task.path, task.short, task.cache, task.beside)
        self._items: list[Instance] = []
        self._counts: list[int] = []

    def shard(self) -> Shard:
        self._shard.report.read["annotation-files"] += 1
        pairs = self._pairs()
        self._shard.met = len(pairs)
        for key, pair in pairs.items():
            if pair.image is None or pair.record is None:
                self._say_single(key, pair)
            else:
                self._read(key, pair.image, pair.record, pair.suffix)
        self._shard.names = list(self._ids)
        self._into_columns()
        if self._unpacker.unpacked:
            self._shard.report.changed["images-unpacked"] += self._unpacker.unpacked
        return self._shard

    def _pairs(self) -> dict[str, _Pair]:
        """Pictures and records by their common key."""
        found: dict[str, _Pair] = {}
        try:
            for member in members(self._stream):
                key, suffix = _key_and_suffix(member.name)
                pair = found.get(key, _Pair(None, None, ""))
                if suffix in IMAGE_SUFFIXES and pair.image is None:
                    found[key] = pair._replace(image=member, suffix=suffix)
                elif suffix == ".json" and pair.record is None:
                    found[key] = pair._replace(record=member)
                elif suffix in IMAGE_SUFFIXES or suffix == ".json":
                    self._lose_image(f"{key!r} is there twice", member, "webdataset.duplicate-key")
        except TarError as error:
            self._shard.report.lost["shards-cut-off"] += 1
            text = f"{error.message}, at byte {error.offset}; what lies behind is lost"
            self._add("webdataset.damaged", text)
        return found

    def _say_single(self, key: str, pair: _Pair) -> None:
        if pair.image is not None:
            self._lose_image(f"{key!r} has no JSON", pair.image, "webdataset.no-record")
        elif pair.record is not None:
            self._lose_image(f"{key!r} has no picture", pair.record, "webdataset.no-image")

    def _read(self, key: str, image: Member, record_at: Member, suffix: str) -> None:
        record = self._record(record_at)
        if record is None:
            return
        items = self._objects(record, record_at)
        if items is None:
            return
        if image.size > _LARGEST_IMAGE:
            self._lose_image(f"a picture of {image.size} bytes", image, "image.unreadable", items)
            return
        data = content(self._stream, image)
        try:
            header = header_of(data)
        except DataError as error:
            self._lose_image(error.message, image, "image.unreadable", items)
            return
        path = self._unpacker.place(key, suffix, record, data)
        self._say_size(record, header, record_at, path)
        named = record.get("split")
        split = split_name(named) if isinstance(named, str) else None
        self._items += items
        self._counts.append(len(items))
        sample = Sample(path, header.size, (), split or self._task.split, self._task.path, header)
        self._shard.samples.append(self._with_open_classes(sample, record))

    def _record(self, member: Member) -> Mapping[str, Any] | None:
        try:
            if member.size > _LARGEST_RECORD:
                raise ValueError(f"{member.size} bytes are too many")
            record = orjson.loads(content(self._stream, member))
            if not isinstance(record, dict) or not isinstance(record["objects"], list):
                raise TypeError('it has no list of "objects"')
        except UNREADABLE as error:
            self._lose_image(f"not readable: {why(error)}", member, "annotation.unreadable")
            return None
        return record

    def _objects(self, record: Mapping[str, Any], member: Member) -> list[Instance] | None:
        """The objects of a picture; None where none of them could be read: it would pass for one
        without any."""
        items: list[Instance] = []
        for place, each in enumerate(record["objects"], start=1):
            try:
                items.append(instance_of(each, self._id))
            except UNREADABLE as error:
                self._shard.report.lost["objects-unreadable"] += 1
                text = f"object {place} is lost: {why(error)}"
                self._add("webdataset.broken-object", text, member)
        if record["objects"] and not items:
            text = "no object could be read; left out, not taken for background"
            self._lose_image(text, member, "annotation.unreadable")
            return None
        return items

    def _id(self, name: str) -> int:
        return self._ids.setdefault(name, len(self._ids))

    def _with_open_classes(self, sample: Sample, record: Mapping[str, Any]) -> Sample:
        named = record.get("not_exhaustive")
        if not isinstance(named, list):
            return sample
        names = [name for name in named if isinstance(name, str) and name.strip()]
        return replace(sample, not_exhaustive=tuple(sorted({self._id(name) for name in names})))

    def _say_size(
        self, record: Mapping[str, Any], header: ImageHeader, member: Member, path: Path
    ) -> None:
        declared = size_of(record.get("width"), record.get("height"))
        if declared is not None and declared != header.size:
            (a, b), (w, h) = declared, header.size
            text = f"made for {a}x{b}, the picture is {w}x{h}; coordinates were kept as they are"
            self._add("image.size-mismatch", text, member, image=path)

    def _into_columns(self) -> None:
        table = table_of(self._items)
        self._items = []
        start = 0
        for place, count in enumerate(self._counts):
            rows = Rows(table, start, start + count)
            self._shard.samples[place] = replace(self._shard.samples[place], instances=rows)
            start += count

    def _lose_image(
        self, text: str, member: Member, code: str, items: list[Instance] | None = None
    ) -> None:
        report = self._shard.report
        report.lost["images"] += 1
        if items:
            report.lost["objects-without-image"] += len(items)
            text = f"{text}; {fate_of(len(items))}"
        self._add(code, text, member)

    def _add(
        self, code: str, text: str, member: Member | None = None, *, image: Path | None = None
    ) -> None:
        where = f"{member.name[-200:]} at byte {member.header}: " if member else ""
        severity: Severity = "warning" if code == "image.size-mismatch" else "error"
        self._shard.report.add(code, severity, where + text, self._task.path, image=image)


def task_split(path: Path, folder_split: str | None) -> str | None:
    """The split of a shard whose records name none: of its folder, or of "train-000000.tar"."""
    return folder_split or split_of_stem(path.stem)
