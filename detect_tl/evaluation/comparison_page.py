"""comparison.html: several models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect_tl import __version__
from detect_tl.evaluation.plots import Curves, Panel, panel_svg

_TEMPLATE = Path(__file__).parent / "templates" / "comparison.html.j2"
_LEGEND = 28  # letters of a name beside its line
_ACCURACY = ("metrics/mAP50-95(M)", "metrics/mAP50-95(B)")


def write_comparison(path: Path, values: Mapping[str, Any], curves: Mapping[str, Curves]) -> None:
    """Write the page, whole or not at all; it needs no other file.

    values: `Comparison.as_json()`. curves: of the training of the models that are runs, by name.
    """
    from detect_tl.core.pages import write_page

    drawing = _overlaid(curves)
    names = [model["name"] for model in values["models"]]
    classes = dict.fromkeys(
        name
        for model in values["models"]
        for name in model["evaluation"]["analysis"]["intervals"]["per_class"]
    )
    write_page(
        path,
        _TEMPLATE,
        {
            "version": __version__,
            "comparison": values,
            "names": names,
            "classes": list(classes),
            "curves": drawing[drawing.index("<svg") :] if drawing else "",
        },
    )


def _overlaid(curves: Mapping[str, Curves]) -> str:
    """The validation accuracy of all runs over their epochs; empty where there is none."""
    lines = {}
    for name, columns in curves.items():
        column = next((key for key in _ACCURACY if key in columns), None)
        if column is not None:
            lines[_short(name)] = tuple(columns[column])
    if not lines:
        return ""
    longest = max(map(len, lines.values()))
    return panel_svg(Panel("mAP50-95 on val", tuple(map(float, range(1, longest + 1))), lines))


def _short(name: str) -> str:
    """A name as a legend has room for: its end says more than its beginning."""
    return name if len(name) <= _LEGEND else f"…{name[-_LEGEND:]}"
