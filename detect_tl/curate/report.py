"""report.html: one self-contained page on a data set, and on what was noticed in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.images import read_image
from detect_tl.core.pages import choose_pictures, class_colour, drawings, embedded_jpeg, write_page
from detect_tl.curate.evidence import evidence
from detect_tl.curate.figures import figures
from detect_tl.curate.stats import class_table, images_per_class, split_table

_TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
_PICTURES = 12
_PICTURE_WIDTH = 480
# Labels on a picture with more objects than this would hide it; colours must do.
_MOST_LABELS = 12
# Findings without a picture that are seen at once; the others unfold.
_OPEN_LINES = 8


@dataclass(frozen=True, slots=True)
class Page:
    """What the page says beyond the data set itself.

    split_reason: why images are divided as they are; "" when they are not.
    report: with paths as people know them. root: what relative ones are seen from, to find the
    images of findings; None when all are as they are.
    elsewhere: where all of the findings are, of which a page shows the first.
    """

    title: str
    task: str
    format: str
    explanation: str
    split_reason: str
    version: str
    report: Report
    root: Path | None = None
    elsewhere: str = "report.json"


def write_report(path: Path, dataset: Dataset, page: Page) -> None:
    """Write the page: figures, up to twelve pictures of `dataset`, and findings with pictures."""
    write_page(path, _TEMPLATE, _values(dataset, page))


def _values(dataset: Dataset, page: Page) -> dict[str, Any]:
    classes = class_table(dataset)
    totals = dataset.objects_per_class()
    return {
        "page": page,
        "explanation": " ".join(page.explanation.split()),
        "images": len(dataset),
        "objects": sum(totals.values()),
        "splits": split_table(dataset),
        "used_splits": list(next(iter(classes.values()), {})),
        "classes": classes,
        "totals": totals,
        "holders": images_per_class(dataset),
        "most": max(totals.values(), default=0) or 1,
        "colours": {name: class_colour(k) for k, name in enumerate(classes)},
        "figures": figures(dataset),
        "counts": {
            "Read": _words(page.report.read),
            "Changed": _words(page.report.changed),
            "Lost": _words(page.report.lost),
        },
        "severities": Counter(finding.severity for finding in page.report.findings),
        "open_lines": _OPEN_LINES,
        "findings": evidence(page.report.findings, dataset, page.root),
        "pictures": list(_pictures(dataset)),
    }


def _words(counts: Counter[str]) -> dict[str, int]:
    return {key.replace("-", " "): n for key, n in sorted(counts.items()) if n}


def _pictures(dataset: Dataset) -> Iterator[dict[str, Any]]:
    for sample in choose_pictures(dataset, _PICTURES):
        try:
            data = embedded_jpeg(read_image(sample.image), _PICTURE_WIDTH)
        except DataError:
            continue  # already a finding of its own
        labelled = len(sample.instances) <= _MOST_LABELS
        yield {
            "name": sample.image.name,
            "split": sample.split,
            "width": sample.size.width,
            "height": sample.size.height,
            "data": data,
            "labelled": labelled,
            "objects": drawings(sample.instances, dataset.names, sample.size),
        }
