"""VGG Image Annotator (VIA): regions with free attributes, as JSON, a project or a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.csv_table.text import first_row
from detect_tl.formats.gather import Gatherer, alphabetical
from detect_tl.formats.no_area import NoAreaError, say_no_area
from detect_tl.formats.options import ReadOptions
from detect_tl.formats.records import (
    UNREADABLE,
    leave_out_unlisted,
    or_none,
    split_of_stem,
    why,
)
from detect_tl.formats.source import Source
from detect_tl.formats.via.classes import ClassRule, NoClassError, class_rule, declared_order
from detect_tl.formats.via.records import COLUMNS, Described, Region, ViaFile, read_via
from detect_tl.formats.via.shape import parse_shape

_PROJECT = re.compile(rb'"_via_img_metadata"\s*:')
_SHAPE = re.compile(rb'"shape_attributes"\s*:')
_SAID = re.compile(rb'"region_attributes"\s*:')
_OF_FILE = re.compile(rb'"file_attributes"\s*:\s*\{')
_REGIONS = re.compile(rb'"regions"\s*:\s*[\[{]')
_VERSION_3 = (re.compile(rb'"vid_list"\s*:'), re.compile(rb'"pid"\s*:'))


def sniff(source: Source) -> Sniff:
    files = source.candidates(".json", ".csv")
    if not files:
        return Sniff("no .json or .csv file")
    claimed = tuple(p for p in files if _is_via(p, source.peek(p)))
    if not claimed:
        kinds = " and ".join(sorted({p.suffix.lower() for p in files}))
        return Sniff(
            f"{counted(len(files), f'{kinds} file')}, none with regions and their attributes"
        )
    return Sniff(f"{counted(len(claimed), 'file')} with regions and their attributes", claimed)


def _is_via(path: Path, ends: bytes) -> bool:
    if path.suffix.lower() == ".csv":
        return set(COLUMNS) <= set(first_row(ends).cells)
    return bool(
        _PROJECT.search(ends)
        or (_SHAPE.search(ends) and _SAID.search(ends))
        or (_OF_FILE.search(ends) and _REGIONS.search(ends))
        or all(key.search(ends) for key in _VERSION_3)
    )


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims; which attribute is the class, all of them decide.

    Raises DataError, with file and line, for a file that is neither JSON nor a table of VIA's,
    and where files describe the same images differently.
    """
    files = []
    for path in sniff(source).files:
        files.append(read_via(path, report))
        report.read["annotation-files"] += 1
    rule = class_rule([r.said for f in files for image in f.images for r in image.regions])
    _say(rule, files, report)
    reading = _Reading(Gatherer(source, report), CategoryIndex(), rule)
    accounts = [(f.path, list(reading.samples(f))) for f in files]
    _refuse_disagreement(source, accounts)
    for _, samples in accounts:
        for sample in samples:
            reading.gather.add(sample)
    leave_out_unlisted(reading.gather)
    met = [category.name for category in reading.index.categories()]
    declared = list(dict.fromkeys(declared_order(rule, [f.options for f in files])))
    for name in declared:
        reading.index.add(name)
    order = declared + alphabetical(name for name in met if name not in declared)
    return reading.gather.dataset(reading.index, order)


def _say(rule: ClassRule, files: Sequence[ViaFile], report: Report) -> None:
    regions = sum(len(image.regions) for f in files for image in f.images)
    if rule.nameless and regions:
        report.add("via.no-class", "warning", str(rule))
    elif not rule.nameless and (rule.attribute is None or rule.others):
        report.add("via.class-attribute", "info", str(rule))


def _refuse_disagreement(source: Source, accounts: Sequence[tuple[Path, list[Sample]]]) -> None:
    """Raise DataError when files differ in what they say of an image: one has to be chosen."""
    groups: list[tuple[list[Path], dict[Path, Sample]]] = []
    differing: list[Path] = []
    for path, samples in accounts:
        about = {sample.image: sample for sample in samples}
        for members, known in groups:
            wrong = [p for p in about if p in known and not _same(known[p], about[p])]
            if not wrong:
                members.append(path)
                known.update(about)
                break
            differing += wrong
        else:
            groups.append(([path], about))
    if len(groups) < 2:
        return
    agreeing = [paths for paths, _ in groups]
    listed = "; ".join(
        f"({place}) {source.short(paths[0])}" + (f" and {len(paths) - 1} more" if paths[1:] else "")
        for place, paths in enumerate(agreeing, start=1)
    )
    telling = [p for p in map(_pattern, agreeing) if _tells_apart(p, agreeing)]
    pattern = max(telling, key=len, default="NAME")
    raise DataError(
        f"{len(groups)} accounts of the same images differ, such as of"
        f" {source.short(differing[0])}: {listed}",
        path=source.path,
        hint=f"Choose one of them, for example by --annotations '{pattern}'.",
    )


def _pattern(paths: Sequence[Path]) -> str:
    """What the names of files end in."""
    names = sorted({path.name for path in paths})
    ends = zip(*(reversed(name) for name in names), strict=False)
    common = "".join(same[0] for same in takewhile(lambda ends: len(set(ends)) == 1, ends))[::-1]
    return f"*{common}" if len(names) > 1 else common


def _tells_apart(pattern: str, groups: Sequence[Sequence[Path]]) -> bool:
    wanted = ReadOptions(annotations=pattern).wants
    return sum(any(wanted(path.name) for path in paths) for paths in groups) == 1


def _same(a: Sample, b: Sample) -> bool:
    return a.instances == b.instances


@dataclass(frozen=True, slots=True)
class _Reading:
    gather: Gatherer
    index: CategoryIndex
    rule: ClassRule

    def samples(self, file: ViaFile) -> Iterator[Sample]:
        path = file.path
        near = [path.parent, path.parent / "images", path.parent.parent / "images"]
        for described in file.images:
            objects = len(described.regions)
            image = self.gather.find([described.name], path, objects, near=near)
            header = None if image is None else self.gather.header(image, objects)
            if image is None or header is None:
                continue
            split = self.gather.source.split_of(image) or self.gather.source.split_of(path)
            items = tuple(self._instances(described, path))
            yield Sample(image, header.size, items, split or split_of_stem(path.stem), path)

    def _instances(self, described: Described, path: Path) -> Iterator[Instance]:
        report, where = self.gather.report, repr(described.name)
        others: Counter[str] = Counter()
        for place, region in enumerate(described.regions, start=1):
            try:
                yield self._instance(region, f"region {place} of {where}", path)
            except NoAreaError as error:
                others[error.kind] += 1
            except UNREADABLE as error:
                unnamed = isinstance(error, NoClassError)
                report.lost["objects-without-class" if unnamed else "objects-unreadable"] += 1
                code = "via.no-class" if unnamed else "via.bad-region"
                text = f"region {place} of {where} is lost: {why(error)}"
                report.add(code, "error", text, path, region.line)
        say_no_area(others, where, path, report, code="via.no-area", what="region")

    def _instance(self, region: Region, where: str, path: Path) -> Instance:
        box, mask = parse_shape(region.shape)
        classes = self.rule.classes(region.said)
        if len(classes) > 1:
            self.gather.report.changed["objects-of-several-classes"] += 1
            text = f"{where} is {' and '.join(classes)}; taken as the first"
            self.gather.report.add("via.several-classes", "warning", text, path, region.line)
        attributes = self.rule.attributes(region.said, classes)
        return Instance(self.index.add(classes[0]), box, mask, attributes=or_none(attributes))


FORMAT = Format(
    name="via",
    title="VGG Image Annotator",
    description="VIA 1, 2 and 3: JSON, projects and CSV of regions with free attributes",
    sniff=sniff,
    read=read,
)
