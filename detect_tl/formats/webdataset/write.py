"""Writing shards: shards/train-000000.tar, … and shards.json.

Every shard is written by one process, which may run on another machine that sees the same files.
The bytes of a picture are copied as they are; the same data set gives the same shards.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from detect_tl.core.columns import Groups
from detect_tl.core.dataset import SPLITS, Dataset, Sample
from detect_tl.core.files import atomic_path
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.core.model_spec import Task
from detect_tl.core.parallel import spread
from detect_tl.formats.base import Sharding
from detect_tl.formats.webdataset.index import write_index
from detect_tl.formats.webdataset.record import encoded, object_record
from detect_tl.formats.webdataset.tar import END, header_of, padding

FOLDER = "shards"

# Of pictures and bytes where nothing is asked for: a gigabyte is large enough to be read at full
# speed, and small enough to be copied again.
_IMAGES, _SIZE = 10_000, 1_000_000_000

_COPIED = 1 << 20  # bytes at a time


class _Entry(NamedTuple):
    """A picture: its file, what to call it, where it was, and what is said of it."""

    image: str
    name: str
    source: str | None
    split: str
    size: Size
    not_exhaustive: tuple[int, ...]


class _Task(NamedTuple):
    """A shard: its file, the number of its first picture, its pictures with their objects."""

    path: Path
    first: int
    entries: list[_Entry]
    objects: Groups
    names: list[str]


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write shards of at most 10,000 pictures and a gigabyte of them."""
    sharded(dataset, folder, report, task, Sharding())


def sharded(dataset: Dataset, folder: Path, report: Report, task: Task, sharding: Sharding) -> None:
    """Write shards of a size, for images that lie at `folder/images/<split>/<name>`."""
    del report, task  # nothing is lost, whatever is trained
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    if sharding.images is None and sharding.size is None:
        sharding = replace(sharding, images=_IMAGES, size=_SIZE)
    tasks = list(_tasks(dataset, place, sharding))
    for _ in spread(_write_shard, tasks):
        pass
    for unfinished in place.glob(".*.tar"):  # of a machine that was lost; another one did its work
        unfinished.unlink()
    counts = {task.path.name: len(task.entries) for task in tasks}
    write_index(place, dataset.categories, counts)


def _tasks(dataset: Dataset, place: Path, sharding: Sharding) -> Iterator[_Task]:
    for split in SPLITS:
        first = 0
        for number, some in enumerate(_divided(dataset.in_split(split), sharding)):
            entries = [
                _Entry(
                    str(s.image),
                    s.image.name,
                    sharding.sources.get(s.image),
                    split,
                    s.size,
                    s.not_exhaustive,
                )
                for s in some
            ]
            objects = Groups([s.instances for s in some])
            yield _Task(place / f"{split}-{number:06}.tar", first, entries, objects, dataset.names)
            first += len(some)


def _divided(samples: Sequence[Sample], sharding: Sharding) -> Iterator[list[Sample]]:
    """Samples in their order, as many together as fit into a shard, at least one."""
    some: list[Sample] = []
    total = 0
    for sample in samples:
        length = sample.header.length if sample.header else sample.image.stat().st_size
        full = sharding.images is not None and len(some) >= sharding.images
        if some and (full or (sharding.size is not None and total + length > sharding.size)):
            yield some
            some, total = [], 0
        some.append(sample)
        total += length
    if some:
        yield some


def _write_shard(task: _Task) -> int:
    """Write one shard, whole or not at all; return how many pictures it holds."""
    with atomic_path(task.path) as scratch, scratch.open("wb") as stream:
        pairs = zip(task.entries, task.objects, strict=True)
        for number, (entry, objects) in enumerate(pairs, start=task.first):
            record: dict[str, Any] = {"file_name": entry.name}
            if entry.source is not None:
                record["source"] = entry.source
            record |= {
                "split": entry.split,
                "width": entry.size.width,
                "height": entry.size.height,
            }
            if entry.not_exhaustive:
                record["not_exhaustive"] = [task.names[k] for k in entry.not_exhaustive]
            record["objects"] = [object_record(o, task.names[o.category]) for o in objects]
            key = f"{number:09}"
            _add_image(stream, f"{key}{Path(entry.name).suffix.lower()}", Path(entry.image))
            _add(stream, f"{key}.json", encoded(record))
        stream.write(END)
    return len(task.entries)


def _add(stream: BinaryIO, name: str, data: bytes) -> None:
    stream.write(header_of(name, len(data)) + data + padding(len(data)))


def _add_image(stream: BinaryIO, name: str, image: Path) -> None:
    with image.open("rb") as source:
        length = source.seek(0, 2)
        source.seek(0)
        stream.write(header_of(name, length))
        shutil.copyfileobj(source, stream, _COPIED)
        stream.write(padding(length))
