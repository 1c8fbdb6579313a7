"""Label Studio: tasks as JSON, with rectangles, polygons, ellipses and what a brush has painted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.formats.accounts import Account, AccountsByImage, near
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.label_studio.config import declared_labels, find_configs
from detect_tl.formats.label_studio.region import (
    Part,
    has_shape,
    parse_region,
    regions_of,
)
from detect_tl.formats.label_studio.task import tasks_of
from detect_tl.formats.label_studio.write import LOSSES, suggest, write
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

_LIST = re.compile(rb"(\xef\xbb\xbf)?\s*\[")
_RESULT = re.compile(rb'"result"\s*:\s*\[')
_OF_RESULT = re.compile(rb'"(from_name|was_cancelled|completed_by|original_width)"\s*:')
_OF_TASK = re.compile(rb'"(total_annotations|total_predictions|inner_id)"\s*:')
_DATA = re.compile(rb'"data"\s*:\s*\{')
_MINIMAL = re.compile(rb'"(rectangle|polygon|brush|ellipse|keypoint)labels"\s*:\s*\[')
_SIZE = re.compile(rb'"original_width"\s*:')


def sniff(source: Source) -> Sniff:
    found = recognise(source, (".json",), _is_label_studio, 'tasks and their "result"')
    return replace(found, files=(*found.files, *find_configs(source))) if found.matches else found


def _is_label_studio(ends: bytes) -> bool:
    if _RESULT.search(ends):
        return bool(_OF_RESULT.search(ends))
    if _OF_TASK.search(ends):
        return bool(_DATA.search(ends))
    return bool(_LIST.match(ends) and _MINIMAL.search(ends) and _SIZE.search(ends))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims; of every task, one annotation is taken.

    Raises DataError, with file and line, for a file that is not JSON.
    """
    configs = find_configs(source)
    gather = Gatherer(source, report)
    accounts = AccountsByImage(gather, "label-studio")
    for path in sniff(source).files:
        if path not in configs:
            report.read["annotation-files"] += 1
            _collect(read_json(path), path, accounts, report)
    reading = _Reading(gather, CategoryIndex())
    for path, names, account in accounts.chosen():
        reading.add(path, names, account)
    leave_out_unlisted(gather)
    met = [category.name for category in reading.index.categories()]
    order = _order(declared_labels(configs, report), met)
    for name in order:
        reading.index.add(name)
    return gather.dataset(reading.index, order)


def _order(interfaces: Sequence[Sequence[str]], met: Sequence[str]) -> list[str]:
    """As the interfaces declare the labels; those of other projects are left out."""
    ours = [names for names in interfaces if set(names) & set(met)] if met else interfaces
    declared = list(dict.fromkeys(name for names in ours for name in names))
    return declared + alphabetical(name for name in met if name not in declared)


def _collect(document: Any, path: Path, accounts: AccountsByImage, report: Report) -> None:
    def lose(count: str, text: str) -> None:
        report.lost[count] += 1
        report.add("label-studio.bad-task", "error", text, path)

    predictions = 0
    for place, task in enumerate(tasks_of(document), start=1):
        if task is None:
            lose("tasks-unreadable", f"record {place} is lost: it is no task with annotations")
        elif not task.names:
            text = f"task {place} is left out: its data name no image, or a list of them"
            lose("tasks-without-image", text)
        else:
            predictions += task.predictions
            for _ in range(task.damaged):
                lose("annotations-unreadable", f"an annotation of task {place} has no result")
            if task.accounts or not task.damaged:
                accounts.add(path, task.names, task.accounts)
    if predictions:
        report.lost["predictions"] += predictions
        text = f"{predictions} predictions are left out: nobody has confirmed them"
        report.add("label-studio.predictions", "info", text, path)


@dataclass(frozen=True, slots=True)
class _Reading:
    gather: Gatherer
    index: CategoryIndex

    def add(self, path: Path, names: Sequence[str], account: Account) -> None:
        regions = regions_of(account.records)
        objects = sum(map(has_shape, regions))
        image = self.gather.find(names, path, objects, near=near(path))
        header = None if image is None else self.gather.header(image, objects)
        if image is None or header is None:
            return
        declared = account.size
        items = tuple(self._instances(regions, declared or header.size, repr(names[0]), path))
        extent = extent_of(item.box for item in items)
        frame = self.gather.frame(image, declared, extent, path, len(items))
        if frame is None:
            return
        split = self.gather.source.split_of(image) or split_of_stem(path.stem)
        kept = tuple(placed(item, frame) for item in items)
        self.gather.add(Sample(image, frame.size, kept, split, path))

    def _instances(
        self, regions: Sequence[Sequence[Part]], size: Size, where: str, path: Path
    ) -> Iterator[Instance]:
        report = self.gather.report
        others: Counter[str] = Counter()
        for place, parts in enumerate(regions, start=1):
            try:
                region = parse_region(parts, size)
            except NoAreaError as error:
                others[error.kind] += 1
                continue
            except UNREADABLE as error:
                report.lost["objects-unreadable"] += 1
                text = f"region {place} of {where} is lost: {why(error)}"
                report.add("label-studio.bad-region", "error", text, path)
                continue
            first, *more = region.labels
            if more:
                report.changed["objects-of-several-labels"] += 1
                text = f"region {place} of {where} is {' and '.join(region.labels)}; taken as the"
                report.add("label-studio.several-labels", "warning", f"{text} first", path)
            category = self.index.add(first)
            yield Instance(
                category, region.box, region.mask, region.iscrowd, or_none(region.attributes)
            )
        say_no_area(others, where, path, report, code="label-studio.no-area", what="region")


FORMAT = Format(
    name="label-studio",
    title="Label Studio",
    description="JSON of tasks with rectangles, polygons, ellipses and brush masks",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
    suggest=suggest,
    opening="start label-studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and"
    " LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder}; give a project the labelling interface"
    " label-studio/config.xml and the local storage {folder}/images; import label-studio/*.json",
)
