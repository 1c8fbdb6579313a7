"""WebDataset: tar files ("shards"), in which 000123.jpg is a picture and 000123.json its objects.

The convention of the files is that of the `webdataset` library, which Ray Data, Hugging Face and
DALI read too; what the JSON says is ours, see `record`. Shards are read side by side, on all cores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from detect_tl.core.columns import InstanceTable, Rows
from detect_tl.core.dataset import SPLITS, Category, CategoryIndex, Dataset, Sample
from detect_tl.core.findings import Report
from detect_tl.core.parallel import spread
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical
from detect_tl.formats.records import leave_out_unlisted
from detect_tl.formats.source import Source
from detect_tl.formats.webdataset.index import Index, index_path, read_index
from detect_tl.formats.webdataset.record import OBJECTS
from detect_tl.formats.webdataset.shard import (
    Shard,
    ShardTask,
    first_records,
    read_shard,
    task_split,
)
from detect_tl.formats.webdataset.unpack import cache_folder
from detect_tl.formats.webdataset.write import sharded, write


def sniff(source: Source) -> Sniff:
    """Shards are taken to be alike: those beside one that is ours are ours, damaged ones too."""
    files = source.candidates(".tar")
    if not files:
        return Sniff("no .tar file")
    ours = {path.parent for path in _first_ones(files) if OBJECTS in first_records(path)}
    claimed = tuple(sorted((path for path in files if path.parent in ours), key=_place))
    about = counted(len(claimed or files), ".tar file")
    what = 'pictures and JSON with "objects"'
    return Sniff(f"{about} with {what}" if claimed else f"{about}, none with {what}", claimed)


def _place(path: Path) -> tuple[Path, int, str]:
    """Where a shard stands among the others: as splits do, train first, in a folder."""
    split = task_split(path, None)
    return path.parent, SPLITS.index(split) if split else len(SPLITS), path.name


def _first_ones(files: list[Path], most: int = 8) -> list[Path]:
    """A few files of every folder, which tell for the others."""
    seen: dict[Path, list[Path]] = {}
    for path in files:
        some = seen.setdefault(path.parent, [])
        if len(some) < most:
            some.append(path)
    return [path for some in seen.values() for path in some]


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims; raises DataError for one that cannot be opened."""
    reading = ShardReading(source, report)
    gather = Gatherer(source, report)
    for path, shard in zip(reading.files, spread(read_shard, reading.tasks), strict=True):
        for sample in renumbered(shard, reading.taken(path, shard)):
            gather.add(sample)
    names, _ = reading.finished()
    leave_out_unlisted(gather)
    return gather.dataset(reading.index, names)


class ShardReading:
    """What is read of one shard after the other, put together.

    files, tasks: the shards in their order. index: the classes, those of the index file first.
    Raises DataError for an index file that is damaged.
    """

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self.files = sniff(source).files
        self.tasks = shard_tasks(source, self.files)
        self.index = CategoryIndex()
        folders = sorted({path.parent for path in self.files})
        self._indices = {folder: read_index(folder, source) for folder in folders}
        for each in self._indices.values():
            for category in each.categories if each else ():
                self.index.add(category.name, category.supercategory)
        self._declared = list(self.met)

    @property
    def met(self) -> list[str]:
        """The names of classes in the order in which they were declared or met."""
        return [category.name for category in self.index.categories()]

    def taken(self, path: Path, shard: Shard) -> list[int]:
        """Take a shard; give the places of its classes in `index`."""
        self.report.merge(shard.report)
        say_lacking(path, shard, self._indices.get(path.parent), self.report)
        return [self.index.add(name) for name in shard.names]

    def finished(self) -> tuple[list[str], tuple[Category, ...]]:
        """Say which shards are missing; give the classes, those not declared in the order of the
        alphabet, for it must not hang on the order of files."""
        say_missing(self.source, self._indices, self.report)
        others = set(self.met).difference(self._declared)
        names = [*self._declared, *alphabetical(others)]
        known = {category.name: category for category in self.index.categories()}
        return names, tuple(known[name] for name in names)


def shard_tasks(source: Source, files: tuple[Path, ...]) -> list[ShardTask]:
    """One for every shard, in their order."""
    cache = cache_folder()
    pictures = bool(source.images.images)
    return [
        ShardTask(
            path,
            source.short(path),
            cache,
            path.parent.parent if pictures and path.parent != source.root else None,
            task_split(path, source.split_of(path)),
        )
        for path in files
    ]


def renumbered(shard: Shard, target: Sequence[int]) -> list[Sample]:
    """The samples of a shard with class k become `target[k]`."""
    tables: dict[int, InstanceTable] = {}
    samples = []
    for sample in shard.samples:
        rows = sample.instances
        assert isinstance(rows, Rows)
        table = tables.get(id(rows.table))
        if table is None:
            table = tables[id(rows.table)] = rows.table.renumbered(target)
        open_ = tuple(sorted(target[k] for k in sample.not_exhaustive))
        moved = Rows(table, rows.start, rows.stop)
        samples.append(replace(sample, instances=moved, not_exhaustive=open_))
    return samples


def say_lacking(path: Path, shard: Shard, index: Index | None, report: Report) -> None:
    """Count the pictures of a damaged shard that nothing is left of."""
    promised = index.shards.get(path.name, 0) if index else 0
    lacking = promised - shard.met
    if lacking > 0:
        report.lost["images"] += lacking
        text = f"the index promises {counted(promised, 'picture')}, {lacking} of them are not there"
        report.add("webdataset.images-missing", "error", text, path)


def say_missing(source: Source, indices: Mapping[Path, Index | None], report: Report) -> None:
    """Name the shards of an index that are not there."""
    there = set(source.files)
    for folder, index in indices.items():
        for name, count in index.shards.items() if index else ():
            if folder / name not in there:
                report.lost["images"] += count
                text = f"{name} is missing, with {counted(count, 'picture')}"
                report.add("webdataset.shard-missing", "error", text, index_path(folder))


FORMAT = Format(
    name="webdataset",
    title="WebDataset",
    description="Tar files of pictures and their objects as JSON, for very large data sets",
    sniff=sniff,
    read=read,
    write=write,
    sharded=sharded,
)
