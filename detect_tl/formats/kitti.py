"""KITTI: one text file per image, a row of 15 or 16 columns per object.

type truncated occluded alpha x1 y1 x2 y2, height width length, x y z and rotation_y in three
dimensions, and the score of a prediction. Labels lie in label_2 beside the images in image_2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Json, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical
from detect_tl.formats.records import leave_out_unlisted, number, numbers, or_none
from detect_tl.formats.source import Source

_ROW = re.compile(
    rb"(\xef\xbb\xbf)?\s*[^\W\d][\w./-]*([ \t]+[-+]?(\d|\.\d|nan|inf)[^\s,]*){14,15}[ \t]*(\r|\n|$)"
)
_IMAGE_FOLDERS = ("image_2", "image_02", "images", "image", "image_3")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_COLUMNS = (15, 16)
_IGNORED = "dontcare"


def sniff(source: Source) -> Sniff:
    texts = source.candidates(".txt")
    if not texts:
        return Sniff("no .txt file")
    rows = [p for p in texts if _ROW.match(source.peek(p))]
    if not rows:
        return Sniff(
            f"{counted(len(texts), '.txt file')}, none with rows of a type and 14 or 15 numbers"
        )
    folders = {p.parent for p in rows}
    # an empty file is an image without objects
    labels = [p for p in texts if p in rows or (p.parent in folders and not source.peek(p).strip())]
    return Sniff(f"{counted(len(labels), '.txt file')} of labels", tuple(labels))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims. Regions marked DontCare are no objects, and counted."""
    index = CategoryIndex()
    gather = Gatherer(source, report)
    files = sniff(source).files
    for path in files:
        report.read["annotation-files"] += 1
        _read_one(gather, index, path)
    _say_ignored(source, report)
    gather.add_backgrounds(_without_labels(gather, files))
    leave_out_unlisted(gather)
    return gather.dataset(index, alphabetical(c.name for c in index.categories()))


def _without_labels(gather: Gatherer, files: Sequence[Path]) -> list[Path]:
    """Images beside labelled ones that have no file: those of the test set were never labelled."""
    folders, labels = {p.parent for p in gather.described}, {p.parent for p in files}
    named = {p.stem for p in gather.source.files if p.parent in labels}
    images = gather.source.images.images
    return [p for p in images if p.parent in folders and p.stem not in named]


def _say_ignored(source: Source, report: Report) -> None:
    count = report.lost["ignored-regions"]
    if count:
        text = (
            f"{count} DontCare regions are left out: objects in them are neither marked nor"
            " to be missed, but will count as background"
        )
        report.add("kitti.ignored-regions", "warning", text, source.path)
    else:
        del report.lost["ignored-regions"]


def _read_one(gather: Gatherer, index: CategoryIndex, path: Path) -> None:
    instances = tuple(_rows(path, index, gather.report))
    names = [f"{path.stem}{suffix}" for suffix in _IMAGE_SUFFIXES]
    above = path.parent.parent
    near = [above / folder for folder in _IMAGE_FOLDERS] + [path.parent]
    image = gather.find(names, path, len(instances), near=near)
    header = None if image is None else gather.header(image, len(instances))
    if image is None or header is None:
        return
    split = gather.source.split_of(path) or gather.source.split_of(image)
    gather.add(Sample(image, header.size, instances, split, path))


def _rows(path: Path, index: CategoryIndex, report: Report) -> Iterator[Instance]:
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    for place, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if words[0].casefold() == _IGNORED:
            report.lost["ignored-regions"] += 1
            continue
        try:
            if len(words) not in _COLUMNS:
                raise ValueError(f"it has {len(words)} columns, not 15 or 16")
            box = Box(*numbers(words[4:8]))
            attributes = or_none(_attributes(words))
        except ValueError as error:
            report.lost["objects-unreadable"] += 1
            report.add("kitti.bad-row", "error", f"the row is lost: {error}", path, place)
            continue
        yield Instance(index.add(words[0]), box, attributes=attributes)


def _attributes(words: Sequence[str]) -> dict[str, Json]:
    """What says something: 0 is the usual state, -1, -10 and -1000 stand for unknown."""
    found: dict[str, Json] = {}
    truncated, occluded, alpha = map(_measured, words[1:4])
    if truncated > 0:
        found["truncated"] = truncated
    if occluded > 0:
        found["occluded"] = int(occluded)
    solid = [_measured(word) for word in words[8:15]]
    if not any(map(math.isnan, (alpha, *solid))) and min(solid[:3]) > 0:
        found |= {"alpha": alpha, "dimensions": solid[:3], "location": solid[3:6]}
        found["rotation_y"] = solid[6]
    score = _measured(words[15]) if len(words) == max(_COLUMNS) else math.nan
    return found if math.isnan(score) else {**found, "score": score}


def _measured(word: str) -> float:
    """A number that only describes an object; NaN, rather than the loss of it, when it is none."""
    try:
        return number(word)
    except ValueError:
        return math.nan


FORMAT = Format(
    name="kitti",
    title="KITTI",
    description="label_2 with one .txt per image: a type, a box and its place in the world",
    sniff=sniff,
    read=read,
)
