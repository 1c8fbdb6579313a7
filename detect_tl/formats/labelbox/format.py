"""Labelbox: exports with a row per image, as NDJSON or as the JSON of earlier years.

Masks lie at addresses that only their owner may open; they are not fetched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.formats.accounts import Account, AccountsByImage, near
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.labelbox.object import answers, parse_object
from detect_tl.formats.labelbox.rows import Row, parse_rows, read_rows
from detect_tl.formats.no_area import NoAreaError, say_no_area
from detect_tl.formats.recognise import recognise
from detect_tl.formats.records import (
    UNREADABLE,
    leave_out_unlisted,
    or_none,
    split_of_stem,
    why,
)
from detect_tl.formats.source import Source

_DATA_ROW = re.compile(rb'"data_row"\s*:\s*\{')
_AROUND_IT = re.compile(rb'"(projects|media_attributes)"\s*:\s*\{')
_LABELED = re.compile(rb'"(Labeled Data|External ID)"\s*:')
_LABEL = re.compile(rb'"Label"\s*:')


def sniff(source: Source) -> Sniff:
    return recognise(
        source, (".ndjson", ".jsonl", ".json"), _is_labelbox, "data rows and their labels"
    )


def _is_labelbox(ends: bytes) -> bool:
    new = _DATA_ROW.search(ends) and _AROUND_IT.search(ends)
    return bool(new or (_LABELED.search(ends) and _LABEL.search(ends)))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims; of every image, one label of one project is taken.

    Raises DataError for a file that is not JSON.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    rows: list[tuple[Path, Row]] = []
    for path in sniff(source).files:
        report.read["annotation-files"] += 1
        rows += ((path, row) for row in _rows(path, report))
    accounts = AccountsByImage(gather, "labelbox")
    for path, row in _of_one_project(rows, report):
        accounts.add(path, row.names, row.accounts)
    reading = _Reading(gather, index)
    for path, names, account in accounts.chosen():
        reading.add(path, names, account)
    leave_out_unlisted(gather)
    return gather.dataset(index, alphabetical(c.name for c in index.categories()))


def _rows(path: Path, report: Report) -> Iterator[Row]:
    """The rows of a file that are about images."""
    outlines = False
    for line, record in read_rows(path):
        try:
            if isinstance(record, str):
                raise ValueError(record)
            found = parse_rows(record)
        except UNREADABLE as error:
            report.lost["rows-unreadable"] += 1
            text = f"row {line} is lost: {why(error)}"
            report.add("labelbox.bad-row", "error", text, path, line)
            continue
        for row in found:
            outlines |= row.outlines
            if row.video:
                report.lost["rows-of-video"] += 1
                text = f"{row.names[0]!r} is a video; its labels are left out"
                report.add("labelbox.video", "warning", text, path)
            else:
                yield row
    if outlines:
        text = "y is taken to grow downwards; exports of before October 2018 count it upwards"
        report.add("labelbox.old-export", "info", text, path)


def _of_one_project(rows: Sequence[tuple[Path, Row]], report: Report) -> Iterator[tuple[Path, Row]]:
    """The rows of the project with most labels: each project has classes of its own."""
    labels = Counter[str]()
    for _, row in rows:
        labels[row.project] += len(row.accounts)
    main = labels.most_common(1)[0][0] if labels else ""
    others = sum(count for project, count in labels.items() if project != main)
    if others:
        report.lost["labels-of-other-projects"] += others
        text = f"{others} labels are of other projects than {main!r}, which has most; left out"
        report.add("labelbox.several-projects", "warning", text)
    yield from ((path, row) for path, row in rows if row.project == main or not row.accounts)


@dataclass(frozen=True, slots=True)
class _Reading:
    gather: Gatherer
    index: CategoryIndex

    def add(self, path: Path, names: Sequence[str], account: Account) -> None:
        objects = len(account.records)
        image = self.gather.find(names, path, objects, near=near(path))
        if image is None or self.gather.header(image, objects) is None:
            return
        items = tuple(self._instances(account.records, repr(names[0]), path))
        extent = extent_of(item.box for item in items)
        frame = self.gather.frame(image, account.size, extent, path, len(items))
        if frame is None:
            return
        split = self.gather.source.split_of(image) or split_of_stem(path.stem)
        kept = tuple(placed(item, frame) for item in items)
        self.gather.add(Sample(image, frame.size, kept, split, path))

    def _instances(self, records: Sequence[object], where: str, path: Path) -> Iterator[Instance]:
        report = self.gather.report
        others: Counter[str] = Counter()
        for place, record in enumerate(records, start=1):
            try:
                if not isinstance(record, dict):
                    raise ValueError("it is no object")
                label, box, mask = parse_object(record)
            except NoAreaError as error:
                others[error.kind] += 1
                continue
            except UNREADABLE as error:
                report.lost["objects-unreadable"] += 1
                text = f"object {place} of {where} is lost: {why(error)}"
                report.add("labelbox.bad-object", "error", text, path)
                continue
            attributes = or_none(answers(record))
            yield Instance(self.index.add(label), box, mask, attributes=attributes)
        masks = others.pop("mask", 0)
        if masks:
            report.lost["masks-not-fetched"] += masks
            text = f"{where} has {masks} masks at addresses, which are not fetched; left out"
            report.add("labelbox.mask-address", "warning", text, path)
        say_no_area(others, where, path, report, code="labelbox.no-area", what="object")


FORMAT = Format(
    name="labelbox",
    title="Labelbox",
    description="NDJSON of data rows, and the JSON of earlier exports; boxes and polygons",
    sniff=sniff,
    read=read,
)
