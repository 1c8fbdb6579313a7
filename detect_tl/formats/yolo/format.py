"""YOLO: one text file per image, a row per object, numbers as fractions of the image.

Read in the layouts of Ultralytics, Roboflow, Darknet and LabelImg, and DOTA's turned boxes.
"""

from __future__ import annotations

from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Sample
from detect_tl.core.findings import Report
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer
from detect_tl.formats.source import Source
from detect_tl.formats.yolo.data_yaml import find_yamls, keypoints_of, read_yaml
from detect_tl.formats.yolo.layout import LabelFiles
from detect_tl.formats.yolo.names import ClassNames
from detect_tl.formats.yolo.parse import FIRST_DOTA_ROW, FIRST_ROW, RowReader
from detect_tl.formats.yolo.splits import split_finder
from detect_tl.formats.yolo.write import LOSSES, write

_NOT_LABELS = frozenset(
    "classes.txt labels.txt labelmap.txt readme.txt train.txt val.txt test.txt trainval.txt "
    "requirements.txt readme.dataset.txt readme.roboflow.txt".split()
)


def sniff(source: Source) -> Sniff:
    yamls = find_yamls(source)
    candidates = source.candidates(".txt") if source.path.is_dir() else list(source.files)
    texts = [p for p in candidates if p.suffix == ".txt"]
    rows = [p for p in texts if _begins_with_a_row(source.peek(p))]
    if source.path.is_file() and source.path not in (*yamls, *rows):
        return Sniff("no data.yaml, no file of rows of numbers")
    if not yamls and not rows:
        among = f" among {counted(len(texts), '.txt file')}" if texts else ""
        return Sniff(f"no data.yaml, no rows of numbers{among}")
    stems = {p.stem for p in source.images.images}
    claimed = [p for p in texts if _may_be_label(p) and (p.stem in stems or _in_labels(p, source))]
    labels = sorted({*rows, *claimed})
    about = f"{counted(len(labels), '.txt file')} of labels" + (
        f" and {yamls[0].name}" if yamls else ""
    )
    return Sniff(about, (*labels, *yamls))


def _begins_with_a_row(head: bytes) -> bool:
    return bool(FIRST_ROW.match(head) or FIRST_DOTA_ROW.match(head))


def _may_be_label(path: Path) -> bool:
    return path.name.casefold() not in _NOT_LABELS and path.parent.name != "Main"


def _in_labels(path: Path, source: Source) -> bool:
    return "labels" in source.short(path).casefold().split("/")[:-1]


def read(source: Source, report: Report) -> Dataset:
    """Read all images below the source with their rows.

    Raises DataError for a data.yaml or a list of classes that cannot be used.
    """
    yamls = find_yamls(source)
    labels = LabelFiles([p for p in sniff(source).files if p not in yamls])
    classes = ClassNames(source, yamls, report)
    index = CategoryIndex(classes.all())
    keypoints = keypoints_of(read_yaml(yamls[0])) if yamls else None
    reader = RowReader(index, report, keypoints)
    gather = Gatherer(source, report)
    split_of = split_finder(source, yamls, report)
    for image in source.images.images:
        label = labels.of(image)
        header = gather.header(image, 0 if label is None else _count_rows(label))
        if header is None:
            continue
        size = header.size
        rows = () if label is None else tuple(reader.read(label, classes.of(label), size))
        gather.add(Sample(image, size, rows, split_of(image), label))
    report.read["annotation-files"] += len(labels.used)
    for label in labels.unused():
        gather.lose_image(label.stem, label, _count_rows(label))
    if reader.scored:
        text = f"{reader.scored} rows end in a confidence: predictions, not what a person drew"
        report.add("yolo.confidence", "warning", text, source.path)
    return gather.dataset(index, _order(index, classes, report, source))


def _order(
    index: CategoryIndex, classes: ClassNames, report: Report, source: Source
) -> list[str] | None:
    """Declared classes keep their order; numbers without names are counted through."""
    met = [category.name for category in index.categories()]
    numbered = [n for n in met if n.startswith("class_") and n[6:].isdecimal()]
    if classes.all() or len(numbered) < len(met):
        return None
    if met:
        _say_nameless(report, source)
    return [f"class_{k}" for k in range(max((int(n[6:]) for n in met), default=-1) + 1)]


def _say_nameless(report: Report, source: Source) -> None:
    report.add(
        "yolo.no-names",
        "warning",
        "no data.yaml, classes.txt or obj.names; classes are called class_0, class_1, …",
        source.path,
    )


def _count_rows(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_bytes().splitlines())


FORMAT = Format(
    name="yolo",
    title="YOLO",
    description="one .txt of rows per image, boxes or outlines, with data.yaml or classes.txt",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
)
