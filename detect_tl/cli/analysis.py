"""How an analysis reads in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from detect_tl.cli.output import Piece, Table

if TYPE_CHECKING:
    from detect_tl.evaluation.analysis import Analysis


def describe_analysis(analysis: Analysis) -> Iterator[Piece]:
    """Intervals, the best thresholds, kinds of errors, calibration."""
    whole = analysis.map50_95
    if whole.low is not None:
        yield f"mAP50-95 {whole}, mAP50 {analysis.map50} with 95 % confidence"
    yield Table(
        ("class", "mAP50-95", "best conf", "F1", "precision", "recall"),
        [
            (
                each.name,
                str(analysis.per_class[each.name]) if each.name in analysis.per_class else "-",
                *map(_number, (each.confidence, each.f1, each.precision, each.recall)),
            )
            for each in analysis.working
        ],
        right=("best conf", "F1", "precision", "recall"),
    )
    counts = analysis.errors.counts
    costly = sorted(analysis.errors.cost.items(), key=lambda item: -item[1])
    yield Table(
        ("errors", "count", "cost in mAP50"),
        [(kind, f"{counts[kind]:,}", f"{100 * cost:.1f} points") for kind, cost in costly],
        right=("count", "cost in mAP50"),
    )
    if analysis.calibration.ece is not None:
        yield (
            f"calibration: confidence and precision differ by {analysis.calibration.ece:.3f} on"
            f" average (ECE, above {analysis.calibration.least:g})"
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
