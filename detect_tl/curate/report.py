"""report.html: one self-contained page on what a conversion read, changed and lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Finding, Report
from detect_tl.core.images import read_image
from detect_tl.core.pages import (
    choose_pictures,
    class_colour,
    drawn,
    embedded_jpeg,
    write_page,
)
from detect_tl.curate.stats import class_table, split_table

_TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
_PICTURES = 12
_PICTURE_WIDTH = 480
# Beyond this a page of findings helps nobody; report.json has all of them.
_MOST_FINDINGS = 100
# Labels on a picture with more objects than this would hide it; colours must do.
_MOST_LABELS = 12
_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Page:
    """What the page says beyond the data set itself. report: with paths as people know them."""

    title: str
    task: str
    format: str
    explanation: str
    split_reason: str
    version: str
    report: Report


def write_report(path: Path, dataset: Dataset, page: Page) -> None:
    """Write the page, with up to twelve pictures of `dataset` inside it."""
    write_page(path, _TEMPLATE, _values(dataset, page))


def _values(dataset: Dataset, page: Page) -> dict[str, Any]:
    classes = class_table(dataset)
    totals = {name: sum(c["objects"] for c in row.values()) for name, row in classes.items()}
    return {
        "page": page,
        "images": len(dataset),
        "objects": sum(totals.values()),
        "splits": split_table(dataset),
        "classes": classes,
        "totals": totals,
        "most": max(totals.values(), default=0) or 1,
        "colours": {name: class_colour(k) for k, name in enumerate(classes)},
        "counts": {
            "Read": _words(page.report.read),
            "Changed": _words(page.report.changed),
            "Lost": _words(page.report.lost),
        },
        "findings": _group(page.report.findings),
        "most_findings": _MOST_FINDINGS,
        "pictures": list(_pictures(dataset)),
    }


def _words(counts: Counter[str]) -> dict[str, int]:
    return {key.replace("-", " "): n for key, n in sorted(counts.items()) if n}


def _group(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings by code, the gravest first, then the most frequent."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.code].append(finding)
    order = sorted(groups, key=lambda key: (_SEVERITIES.index(key[0]), -len(groups[key]), key[1]))
    return [
        {"severity": key[0], "code": key[1], "count": len(groups[key]), "items": groups[key]}
        for key in order
    ]


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
            "objects": [drawn(item, dataset.names, sample.size) for item in sample.instances],
        }
