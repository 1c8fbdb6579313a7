"""YOLO: one text file per image, a row per object, numbers as fractions of the image.

A row is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 …` for an outline; a sixth number after a
box is the confidence of a prediction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Size, ring, rings_box
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, UndeclaredClassError
from detect_tl.formats.source import Source
from detect_tl.formats.yolo_layout import LabelFiles, find_names, find_yaml, split_finder
from detect_tl.formats.yolo_write import LOSSES, write

_ROW = re.compile(rb"\s*\d+(\.0*)?([ \t]+[-+]?(\d|\.\d|nan|inf)[^\s,]*){4,}[ \t]*(\r|\n|$)")
_NOT_LABELS = frozenset(
    "classes.txt labels.txt labelmap.txt readme.txt train.txt val.txt test.txt trainval.txt "
    "requirements.txt readme.dataset.txt readme.roboflow.txt".split()
)
# Fractions beyond this are no rounding at the border of an image but another unit.
_LARGEST = 2.0


def sniff(source: Source) -> Sniff:
    yaml = find_yaml(source)
    candidates = source.candidates(".txt") if source.path.is_dir() else list(source.files)
    texts = [p for p in candidates if p.suffix == ".txt"]
    rows = [p for p in texts if _ROW.match(source.peek(p))]
    if source.path.is_file() and source.path != yaml and source.path not in rows:
        return Sniff("not a data.yaml and no file of numbers")
    if yaml is None and not rows:
        among = f" among {len(texts)} .txt files" if texts else ""
        return Sniff(f"no data.yaml, no rows of numbers{among}")
    stems = {p.stem for p in source.images.images}
    claimed = [p for p in texts if _may_be_label(p) and (p.stem in stems or _in_labels(p, source))]
    labels = sorted({*rows, *claimed})
    about = f"{len(labels)} .txt files of labels" + (f" and {yaml.name}" if yaml else "")
    return Sniff(about, (*labels, *([yaml] if yaml else [])))


def _may_be_label(path: Path) -> bool:
    return path.name.casefold() not in _NOT_LABELS and path.parent.name != "Main"


def _in_labels(path: Path, source: Source) -> bool:
    return "labels" in source.short(path).casefold().split("/")[:-1]


def read(source: Source, report: Report) -> Dataset:
    """Read all images below the source with their rows.

    Raises DataError for a data.yaml that cannot be used.
    """
    yaml = find_yaml(source)
    labels = LabelFiles([p for p in sniff(source).files if p != yaml])
    names = find_names(source, yaml)
    index = CategoryIndex(names)
    gather = Gatherer(source, report)
    split_of = split_finder(source, yaml, report)
    for image in source.images.images:
        label = labels.of(image)
        header = gather.header(image, 0 if label is None else _count_rows(label))
        if header is None:
            continue
        size = header.size
        rows = () if label is None else tuple(_rows(label, index, bool(names), size, report))
        gather.add(Sample(image, size, rows, split_of(image), label))
    report.read["annotation-files"] += len(labels.used)
    for label in labels.unused():
        gather.lose_image(label.stem, label, _count_rows(label))
    if not names and len(index.categories()):
        _say_nameless(report, source)
    return gather.dataset(index, None if names else _numbered(index))


def _say_nameless(report: Report, source: Source) -> None:
    report.add(
        "yolo.no-names",
        "warning",
        "no data.yaml, classes.txt or obj.names; classes are called class_0, class_1, …",
        source.path,
    )


def _numbered(index: CategoryIndex) -> list[str]:
    met = [int(c.name.removeprefix("class_")) for c in index.categories()]
    return [f"class_{k}" for k in range(max(met, default=-1) + 1)]


def _count_rows(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_bytes().splitlines())


def _rows(
    path: Path, index: CategoryIndex, named: bool, size: Size, report: Report
) -> Iterator[Instance]:
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            category, values = _parse(line)
            if not named:
                category = index.add(f"class_{category}")
            elif category >= len(index.categories()):
                most = len(index.categories()) - 1
                text = f"class {category} is not declared; the last one is {most}"
                raise UndeclaredClassError(text)
            yield _instance(category, values, size)
        except ValueError as error:
            report.lost["objects-unreadable"] += 1
            code = getattr(error, "code", "yolo.bad-row")
            report.add(code, "error", f"the row is lost: {error}", path, number)


def _parse(line: str) -> tuple[int, list[float]]:
    words = line.split()
    try:
        first, *values = (float(word) for word in words)
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        raise ValueError(f"{wrong!r} is not a number") from None
    if not first.is_integer() or first < 0:
        raise ValueError(f"{words[0]!r} is not a class number")
    if not all(math.isfinite(v) for v in values):
        raise ValueError("a number is not finite")
    if max(map(abs, values), default=0) > _LARGEST:
        worst = max(values, key=abs)
        raise ValueError(f"{worst:g} is not a fraction of the image; numbers must be 0 to 1")
    return int(first), values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _instance(category: int, values: Sequence[float], size: Size) -> Instance:
    w, h = size
    if len(values) in (4, 5):
        cx, cy, bw, bh = values[:4]
        box = Box.from_cxcywh(cx * w, cy * h, bw * w, bh * h)
        attributes = {"confidence": values[4]} if len(values) == 5 else NO_ATTRIBUTES
        return Instance(category, box, attributes=attributes)
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"{len(values)} numbers after the class are neither a box nor an outline")
    outline = ring(values) * (w, h)
    return Instance(category, rings_box([outline]), PolygonMask((outline,)))


FORMAT = Format(
    name="yolo",
    title="YOLO",
    description="one .txt of rows per image, boxes or outlines, with data.yaml or classes.txt",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
)
