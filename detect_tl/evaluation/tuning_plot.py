"""The picture of a search: how its trials learned, and what the best was when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detect_tl.core.files import atomic_path
from detect_tl.evaluation.plots import COLOURS, INK, dress, svg_of
from detect_tl.evaluation.tuning import Tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_tuning(tuning: Tuning, metric: str, path: Path) -> None:
    """Draw both diagrams into one PNG, whole or not at all; `metric`: what the values are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    draw_courses(figure.add_subplot(1, 2, 1), tuning, metric)
    draw_best(figure.add_subplot(1, 2, 2), tuning, metric)
    with atomic_path(path) as scratch:
        figure.savefig(scratch, format="png", dpi=120, metadata={"Software": None})


def tuning_svgs(tuning: Tuning, metric: str) -> tuple[str, str]:
    """The same two diagrams as SVG, for a page."""
    return (
        svg_of(lambda axes: draw_courses(axes, tuning, metric)),
        svg_of(lambda axes: draw_best(axes, tuning, metric)),
    )


def draw_courses(axes: Axes, tuning: Tuning, metric: str) -> None:
    """A line for every trial, with a cross where one was stopped; the best and the default stand
    out."""
    best, default = tuning.best.number, tuning.default.number
    for trial in tuning.trials:
        if not trial.values:
            continue
        told = trial.number in (best, default)
        colour = COLOURS[0] if trial.number == best else COLOURS[1] if told else INK
        epochs = range(1, trial.epochs + 1)
        names = [n for n, k in (("best", best), ("default", default)) if trial.number == k]
        axes.plot(
            epochs,
            trial.values,
            color=colour,
            linewidth=2.2 if told else 0.9,
            alpha=1.0 if told else 0.7,
            zorder=3 if told else 2,
            marker="" if trial.epochs > 1 else "o",
            markersize=3,
            label=f"trial {trial.number} ({', '.join(names)})" if told else None,
        )
        if trial.ending == "stopped":
            axes.plot(trial.epochs, trial.values[-1], "x", color=colour, markersize=5)
    dress(axes, f"{metric} on val, × stopped early", legend=True)
    axes.set_xlim(left=0)
    axes.set_ylim(0, _top(tuning))


def draw_best(axes: Axes, tuning: Tuning, metric: str) -> None:
    """The best value known at each time, beside the best of the default."""
    steps = tuning.best_over_time()
    if not steps:
        return
    end = max(trial.began + trial.took for trial in tuning.trials)
    minutes = [second / 60 for second, _ in steps] + [end / 60]
    values = [value for _, value in steps] + [steps[-1][1]]
    axes.step(minutes, values, where="post", color=COLOURS[0], linewidth=2.2, label="best so far")
    if tuning.default.best is not None:
        axes.axhline(
            tuning.default.best, color=COLOURS[1], linestyle="--", linewidth=1.4, label="default"
        )
    dress(axes, f"best {metric} so far", legend=True, across="minutes since the search began")
    axes.set_xlim(left=0)
    axes.set_ylim(0, _top(tuning))


def _top(tuning: Tuning) -> float:
    return min(max((tuning.best.best or 0.0) * 1.15, 0.01), 1.0)
