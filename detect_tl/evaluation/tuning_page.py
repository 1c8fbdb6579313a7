"""report.html of a search: its trials and curves on one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect_tl import __version__
from detect_tl.evaluation.tuning import Tuning, ranked
from detect_tl.evaluation.tuning_plot import tuning_svgs

_TEMPLATE = Path(__file__).parent / "templates" / "tuning.html.j2"


def write_tuning_page(path: Path, tuning: Tuning, told: Mapping[str, Any]) -> None:
    """Write the page, whole or not at all; it needs no other file.

    told: metric, data, weights, epochs, best (where its report is) and the command that repeats it.
    """
    from detect_tl.core.pages import write_page

    drawings = tuning_svgs(tuning, str(told["metric"]))
    values = {
        **told,
        "version": __version__,
        "rows": [trial.row() for trial in ranked(tuning.trials)],
        "verdict": tuning.verdict,
        "caution": tuning.caution,
        "curves": [drawing[drawing.index("<svg") :] for drawing in drawings],
    }
    write_page(path, _TEMPLATE, values)
