"""What an analysis looks like in a report: bars, a diagram and a table, from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detect_tl.evaluation.error_types import MEANINGS
from detect_tl.evaluation.plots import calibration_svg, confidence_svg

_MOST_CLASSES = 20  # in a table of who is taken for whom; a larger one cannot be read


def looked_into(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the template; analysis: `Analysis.as_json()`."""
    errors, whole = analysis["errors"], analysis["intervals"]["mAP50-95"]
    costly = sorted(errors["kinds"].items(), key=lambda item: -item[1]["cost"])
    most = max((kind["cost"] for _, kind in costly), default=0) or 1
    return {
        "interval": None if whole["low"] is None else whole,
        "map50": analysis["intervals"]["mAP50"],
        "classes": [
            {
                "name": name,
                "interval": analysis["intervals"]["per_class"].get(name),
                **working,
            }
            for name, working in analysis["working"].items()
        ],
        "errors": [
            {
                "name": name,
                "meaning": MEANINGS[name],
                "count": kind["count"],
                "cost": 100 * kind["cost"],
                "share": 100 * kind["cost"] / most,
            }
            for name, kind in costly
        ],
        "ece": analysis["calibration"]["ece"],
        "from": analysis["calibration"]["from_confidence"],
        "calibration": _inline(calibration_svg(analysis["calibration"]["bins"])),
        "by_confidence": _inline(confidence_svg(analysis["by_confidence"])),
        "confusion": _confusion(analysis["confusion"]),
    }


def _inline(drawing: str) -> str:
    """An SVG document as a part of a page."""
    return drawing[drawing.index("<svg") :]


def _confusion(confusion: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rows of (count, strength of the colour between 0 and 1); None for too many classes."""
    names, counts = confusion["names"], confusion["counts"]
    if len(names) > _MOST_CLASSES:
        return None
    rows = []
    for number, row in enumerate(counts):
        total = max(sum(row), 1)
        label = names[number] if number < len(names) else "nothing"
        rows.append((label, [(count, count / total) for count in row], number))
    return {"names": [*names, "missed"], "rows": rows}
