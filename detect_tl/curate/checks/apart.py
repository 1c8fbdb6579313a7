"""Checking in parts, in other processes or on other machines; the findings are the same.

A part looks at some images: it decodes them, runs the checks that look at one image at a time, and
sends back what the others need, which are few bytes for each image and its boxes. Those run here,
on the columns of all parts. Shards are even read apart: nobody holds the whole data set.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from detect_tl.core.dataset import Category, Dataset, Samples
from detect_tl.core.files import sha256_file
from detect_tl.core.findings import Finding, Report
from detect_tl.core.parallel import spread, threaded
from detect_tl.core.progress import Progress, Silent, Step, track
from detect_tl.core.sample_columns import SampleColumns, joined
from detect_tl.curate.checks.base import Check, Need
from detect_tl.curate.checks.image_facts import FactColumns, ImageFacts, look_at
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.registry import CHECKS, CRASHED, Selection
from detect_tl.curate.checks.run import (
    contents_of,
    needed,
    run_check,
    turned_images,
    unlisted_images,
)
from detect_tl.curate.checks.snapshot import Stray, snapshot_of
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions
from detect_tl.formats.source import Source
from detect_tl.formats.webdataset.format import FORMAT, ShardReading
from detect_tl.formats.webdataset.shard import Shard, ShardTask, read_shard

# Images that a process looks at together; decoding one takes as long as describing a hundred.
_DECODED_TOGETHER, _TOGETHER = 100, 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out.

    ids: of the checks. decode: whether images are decoded, and not only looked at at both ends.
    """

    ids: frozenset[str]
    limits: Limits
    decode: bool

    @property
    def checks(self) -> list[Check]:
        return [each for each in CHECKS if each.id in self.ids]

    @property
    def files(self) -> bool:
        return bool(needed(self.checks) & (Need.FILES | Need.PIXELS))

    @property
    def contents(self) -> bool:
        return Need.CONTENTS in needed(self.checks)


class PartTask(NamedTuple):
    """Some images to be looked at. hashed: whether to read them to the end, to tell equal ones.

    turned: those that were stored turned, see `Snapshot`.
    """

    question: Question
    categories: tuple[Category, ...]
    samples: Samples
    turned: frozenset[Path]
    hashed: bool


class Part(NamedTuple):
    """What was found on some images.

    findings: by the id of the check. facts: of every image, if asked for. contents: likewise, a
    hash, or None for one that is missing.
    """

    images: int
    findings: dict[str, list[Finding]]
    facts: FactColumns
    contents: list[bytes | None]


class ShardPart(NamedTuple):
    """What was read of a shard, its samples as columns, and what was found on its images."""

    shard: Shard
    samples: SampleColumns
    part: Part


def check_apart(
    data: Path,
    progress: Progress | None = None,
    *,
    decode: bool = True,
    limits: Limits | None = None,
    selection: Selection,
    options: ReadOptions = RECOGNISE,
    whole: bool = False,
) -> tuple[ReadResult, Report]:
    """Read a data set and run the checks of a selection, both by `spread`.

    whole: whether the data set is asked for with its masks and attributes. Without them, shards
    give their boxes only.
    Raises what `read_dataset` raises.
    """
    progress = progress or Silent()
    ids = frozenset(each.id for each in selection.checks(decode=decode))
    question = Question(ids, limits or Limits(), decode)
    parts: list[Part] = []
    with progress.step("Looking at images") as bar:
        readers = {} if whole else {"webdataset": partial(_read_apart, question, parts, bar)}
        read = read_dataset(data, options=options, readers=readers)
        if not parts:
            parts += _counted(spread(look_at_part, _tasks(question, read)), bar)
    return read, _merged(question, read, parts, progress)


def _read_apart(
    question: Question, parts: list[Part], bar: Step, source: Source, report: Report
) -> Dataset:
    """Read shards, without masks and attributes, and keep what was found in them in `parts`.

    As `webdataset.format.read` does, but no sample is made. Shards beside images of their own are
    left to that: two of them may mean one file.
    """
    if source.images.images:
        return FORMAT.read(source, report)
    reading = ShardReading(source, report)
    columns: list[SampleColumns] = []
    looks = spread(partial(look_at_shard, question), reading.tasks)
    for path, (shard, samples, part) in zip(reading.files, looks, strict=True):
        columns.append(samples.renumbered(reading.taken(path, shard)))
        parts.append(part)
        bar.advance(part.images)
    names, categories = reading.finished()
    target = [names.index(name) for name in reading.met]
    samples = joined(columns).renumbered(target)
    report.read["images"] += len(samples)
    report.read["objects"] += len(samples.table)
    report.read["images-without-objects"] += int((np.diff(samples.starts) == 0).sum())
    return Dataset(categories, samples)


def look_at_shard(question: Question, task: ShardTask) -> ShardPart:
    """Read a shard and look at its images; keep the boxes of its objects only."""
    shard = read_shard(task)
    categories = tuple(map(Category, shard.names))
    part = look_at_part(PartTask(question, categories, shard.samples, frozenset(), hashed=True))
    columns = SampleColumns.of(shard.samples)
    return ShardPart(replace(shard, samples=Samples()), columns, part)


def look_at_part(task: PartTask) -> Part:
    """Look at some images and run the checks that need no others."""
    question, samples = task.question, task.samples
    facts: list[ImageFacts] = []
    if question.files:
        decode = question.decode
        facts = [look_at(s.image, decode=decode, header=s.header) for s in samples]
    contents: list[bytes | None] = []
    if question.contents and task.hashed:
        contents = [_digest(s.image) if s.image.is_file() else None for s in samples]
    dataset = Dataset(task.categories, tuple(samples))
    snapshot = snapshot_of(dataset, facts, contents, task.turned)
    findings = {
        each.id: list(run_check(each, snapshot, question.limits))
        for each in question.checks
        if not each.whole
    }
    return Part(len(samples), findings, FactColumns(facts), contents)


def _digest(image: Path) -> bytes:
    return bytes.fromhex(sha256_file(image))


def _tasks(question: Question, read: ReadResult) -> Iterator[PartTask]:
    """The images of a data set that was read, some at a time."""
    samples, turned = read.dataset.samples, turned_images(read)
    together = _DECODED_TOGETHER if question.decode else _TOGETHER
    for start in range(0, len(samples), together):
        some = Samples(samples[start : start + together])
        here = turned.intersection(s.image for s in some) if turned else turned
        yield PartTask(question, read.dataset.categories, some, here, question.decode)


def _counted(parts: Iterator[Part], bar: Step) -> Iterator[Part]:
    for part in parts:
        bar.advance(part.images)
        yield part


def _merged(
    question: Question, read: ReadResult, parts: Sequence[Part], progress: Progress
) -> Report:
    """What all parts found, check by check, and what the checks of the whole find."""
    contents, strays = _contents(question, read, parts, progress)
    facts = FactColumns.joined([part.facts for part in parts])
    snapshot = snapshot_of(read.dataset, facts, contents, turned_images(read), strays)
    report = Report()
    for each in track(progress, question.checks, "Checking"):
        if each.whole:
            report.extend(run_check(each, snapshot, question.limits))
        else:
            report.extend(_until_crashed(part.findings[each.id] for part in parts))
    return report


def _until_crashed(found: Iterable[list[Finding]]) -> Iterator[Finding]:
    """Findings up to where a check failed itself: on the whole it would have come no further."""
    for findings in found:
        yield from findings
        if any(finding.code == CRASHED.id for finding in findings):
            return


def _contents(
    question: Question, read: ReadResult, parts: Sequence[Part], progress: Progress
) -> tuple[Sequence[Hashable], Sequence[Stray]]:
    """As the local checks have them: a value per image, equal for equal files, and the strays."""
    if not question.contents:
        return [], []
    count, unlisted = len(read.dataset), unlisted_images(read.dataset, read)
    others = [image for image, _ in unlisted]
    found: list[Hashable] = [digest for part in parts for digest in part.contents]
    if found:
        found = [digest or ("missing", place) for place, digest in enumerate(found)]
        found += threaded(_digest, others)
    else:
        found = contents_of(read.dataset, others, progress)
    pairs = zip(unlisted, found[count:], strict=True)
    return found[:count], [Stray(*one, content) for one, content in pairs]
