"""Reading back a data set folder of our own: its COCO files hold all of it."""

from __future__ import annotations

from pathlib import Path

from detect_tl.core.dataset import SPLITS, CategoryIndex, Dataset, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.formats.coco.records import read_document
from detect_tl.formats.gather import fate_of

PROVENANCE = "provenance.json"
TOOL = "detect-tl"
NAME = "detect-tl dataset folder"


def is_prepared(path: Path) -> bool:
    """Whether `path` is a data set folder that `convert` wrote with COCO annotations."""
    return (path / PROVENANCE).is_file() and bool(annotation_files(path))


def annotation_files(folder: Path) -> list[Path]:
    """The COCO files of a data set folder, in the order of the splits."""
    files = [folder / "annotations" / f"{split}.json" for split in SPLITS]
    return [path for path in files if path.is_file()]


def read_prepared(folder: Path, report: Report) -> Dataset:
    """Read a data set folder; sizes come from its annotations, images are not opened.

    Raises DataError for a file that is broken or was changed by hand into something else.
    """
    index = CategoryIndex()
    samples: list[Sample] = []
    for path in annotation_files(folder):
        report.read["annotation-files"] += 1
        try:
            samples += _read_split(path, index, report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"not what `convert` wrote: {error!r}",
                path=path,
                hint="Convert the original annotations again.",
            ) from error
    report.read["images"] += len(samples)
    report.read["objects"] += sum(len(s.instances) for s in samples)
    report.read["images-without-objects"] += sum(not s.instances for s in samples)
    return Dataset(index.categories(), tuple(samples))


def _read_split(path: Path, index: CategoryIndex, report: Report) -> list[Sample]:
    document, annotations = read_document(path)
    split = path.stem
    images = path.parent.parent / "images" / split
    categories = {c["id"]: index.add(c["name"], c["supercategory"]) for c in document["categories"]}
    records = document["images"]
    objects = annotations.by_image((r["id"] for r in records), categories, _refuse)
    if annotations.strangers or len(objects) != len(records):
        raise ValueError("its annotations and its images do not belong together")
    samples = []
    for record, rows in zip(records, objects, strict=True):
        image = images / record["file_name"]
        if not image.is_file():
            report.lost["images"] += 1
            report.lost["objects-without-image"] += len(rows)
            text = f"image {image.name!r} is missing; {fate_of(len(rows))}"
            report.add("image.missing", "error", text, path)
            continue
        size = Size(record["width"], record["height"])
        open_ = sorted(categories[k] for k in record.get("not_exhaustive_category_ids", ()))
        samples.append(Sample(image, size, rows, split, path, not_exhaustive=tuple(open_)))
    return samples


def _refuse(text: str, code: str) -> None:
    del code
    raise ValueError(text)
