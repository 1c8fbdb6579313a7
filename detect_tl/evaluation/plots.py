"""Training curves: of a run, as `results.png` and in its report; of two sides, as `benefit.png`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import DataError
from detect_tl.core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from detect_tl.evaluation.benefit import Benefit
    from detect_tl.evaluation.shots import Study

Curves = Mapping[str, Sequence[float]]
"""Columns of `metrics.csv` by name, one value per epoch, NaN where a cell is empty."""

# Okabe and Ito's colours, which people with any colour vision can tell apart
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK = "#7d8590"  # readable on white and on black: the report follows the reader's theme


_LOSSES = {
    "box": "boxes",
    "cls": "classes",
    "dfl": "edges of boxes (DFL)",
    "seg": "masks",
    "sem": "prototypes",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram over the epochs: a title and lines by label."""

    title: str
    epochs: tuple[float, ...]
    lines: Mapping[str, tuple[float, ...]]


def read_curves(path: Path) -> dict[str, list[float]]:
    """Read `metrics.csv`; raise DataError naming the line where it is broken."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    names = [name.strip() for name in header]
    curves: dict[str, list[float]] = {name: [] for name in names}
    for line, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise DataError(f"has {len(row)} columns instead of {len(names)}", path=path, line=line)
        for name, cell in zip(names, row, strict=True):
            try:
                curves[name].append(float(cell) if cell.strip() else math.nan)
            except ValueError as error:
                raise DataError(f"{cell!r} is not a number", path=path, line=line) from error
    return curves


def panels(curves: Curves) -> list[Panel]:
    """Group the columns that belong together: accuracy, each loss, precision and recall, rates.

    Columns of boxes end with "(B)" and those of masks with "(M)", as Ultralytics names them.
    """
    count = max(map(len, curves.values()), default=0)
    epochs = tuple(curves.get("epoch", range(1, count + 1)))
    titles: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, values in curves.items():
        place = _place(name)
        if place and _tells(place[0], values):
            titles.setdefault(place[0], {})[place[1]] = tuple(values)
    ordered = sorted(titles, key=_rank)
    return [Panel(title, epochs, _distinct(titles[title])) for title in ordered]


def _tells(title: str, values: Sequence[float]) -> bool:
    """Whether a column says anything: a loss that the model does not have is 0 in every epoch."""
    seen = [value for value in values if math.isfinite(value)]
    return any(seen) if title.startswith("Loss") else bool(seen)


def _distinct(lines: Mapping[str, tuple[float, ...]]) -> Mapping[str, tuple[float, ...]]:
    """One line in place of several that lie on each other, as the rates of all groups may do."""
    first, *others = lines.values()
    return {"all": first} if others and all(line == first for line in others) else lines


def _place(column: str) -> tuple[str, str] | None:
    """Title of the panel and label of the line for a column; None for what is no curve."""
    group, _, name = column.partition("/")
    if group == "metrics":
        kind = " of masks" if name.endswith("(M)") else " of boxes"
        label = name.removesuffix("(B)").removesuffix("(M)")
        title = "mAP" if label.startswith("mAP") else "Precision and recall"
        return title + kind, label
    if group in ("train", "val") and name.endswith("_loss"):
        kind = name.removesuffix("_loss")
        return f"Loss: {_LOSSES.get(kind, kind)}", group
    if group == "lr":
        return "Learning rate", name
    return None


def _rank(title: str) -> tuple[int, str]:
    starts = ("mAP", "Precision", "Loss: boxes", "Loss: classes", "Loss", "Learning")
    return next(n for n, start in enumerate(starts) if title.startswith(start)), title


def write_results(curves: Curves, path: Path) -> None:
    """Draw all panels into one PNG, whole or not at all; nothing is written without an epoch."""
    from matplotlib.figure import Figure

    shown = panels(curves)
    if not shown:
        return
    columns = min(len(shown), 4)
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    for number, panel in enumerate(shown, start=1):
        _draw(figure.add_subplot(rows, columns, number), panel)
    with atomic_path(path) as scratch:
        figure.savefig(scratch, format="png", dpi=120, metadata={"Software": None})


def panel_svg(panel: Panel) -> str:
    """Draw one panel as an SVG document; the same panel gives the same text."""
    return svg_of(lambda axes: _draw(axes, panel))


def svg_of(draw: Callable[[Axes], None]) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "detect-tl", "svg.fonttype": "path"}):
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        figure.patch.set_alpha(0)
        draw(figure.add_subplot())
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def calibration_svg(bins: Sequence[Mapping[str, Any]]) -> str:
    """Confidence against the share that is right, as SVG; a point is larger with more detections.

    bins: as in `Calibration.as_json()`.
    """
    there = [each for each in bins if each["detections"]]
    most = max((each["detections"] for each in there), default=1)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
        points = [each["confidence"] for each in there], [each["precision"] for each in there]
        axes.plot(*points, color=COLOURS[0], linewidth=1.5)
        sizes = [12 + 90 * math.sqrt(each["detections"] / most) for each in there]
        axes.scatter(*points, s=sizes, color=COLOURS[0], zorder=3)
        dress(axes, "share that is right", legend=False, across="confidence")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.04)

    return svg_of(draw)


def confidence_svg(points: Sequence[Mapping[str, Any]]) -> str:
    """Precision, recall and F1 over the confidence, as SVG; points: as `Point.as_json()`."""
    across = [point["confidence"] for point in points]

    def draw(axes: Axes) -> None:
        for name, colour in zip(("precision", "recall", "f1"), COLOURS, strict=False):
            values = [math.nan if point[name] is None else point[name] for point in points]
            label = "F1" if name == "f1" else name
            axes.plot(across, values, label=label, color=colour, linewidth=1.8)
        dress(axes, "all classes", legend=True, across="confidence")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.04)

    return svg_of(draw)


def _draw(axes: Axes, panel: Panel) -> None:
    for (label, values), colour in zip(panel.lines.items(), _cycle(panel), strict=True):
        lone = sum(map(math.isfinite, values)) == 1
        axes.plot(
            panel.epochs[: len(values)],
            values,
            label=label,
            color=colour,
            linewidth=1.8,
            marker="o" if lone else "",
            markersize=4,
        )
    dress(axes, panel.title, legend=len(panel.lines) > 1)
    if panel.title.startswith(("mAP", "Precision")):
        axes.set_ylim(0, 1)


def dress(axes: Axes, title: str, *, legend: bool, across: str = "epoch") -> None:
    """Title, grid and letters of a diagram; across: what its horizontal axis is."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(across, fontsize=8, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    if across == "epoch":
        axes.locator_params(axis="x", integer=True)
    axes.patch.set_alpha(0)
    axes.grid(visible=True, alpha=0.25, linewidth=0.6)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(INK)
    if legend:
        axes.legend(fontsize=8, frameon=False, labelcolor=INK)


def _cycle(panel: Panel) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(len(panel.lines))]


def write_benefit(benefit: Benefit, metric: str, path: Path) -> None:
    """Draw the courses of both sides into one PNG, whole or not at all; `metric`: what they are of.

    A thin line for every run, a thick one for the mean of a side, with its 95 % interval as a band.
    """
    from matplotlib.figure import Figure

    from detect_tl.evaluation.benefit import mean_course

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    epochs = range(benefit.epochs + 1)
    for (side, courses), colour in zip(benefit.sides.items(), COLOURS, strict=False):
        means = mean_course(courses)
        limits = [mean.low for mean in means], [mean.high for mean in means]
        axes.fill_between(epochs, *limits, color=colour, alpha=0.15, linewidth=0)
        for course in courses:
            axes.plot(epochs, course.values, color=colour, linewidth=0.7, alpha=0.7)
        axes.plot(epochs, [mean.mean for mean in means], color=colour, linewidth=2.4, label=side)
    title = f"{metric} on val: {len(benefit.seeds)} seeds, their mean and its 95 % interval"
    dress(axes, title, legend=True)
    # by the runs: the band of two seeds alone would fill the picture
    top = max(max(course.values) for courses in benefit.sides.values() for course in courses)
    axes.set_ylim(0, min(top * 1.15, 1.0) or 1.0)
    axes.set_xlim(0, benefit.epochs)
    with atomic_path(path) as scratch:
        figure.savefig(scratch, format="png", dpi=120, metadata={"Software": None})


def write_study(study: Study, metric: str, path: Path) -> None:
    """Draw what a handful gives on both sides into one PNG, whole or not at all.

    A point for every draw, a line through the means, bars for their 95 % intervals.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    across = range(len(study.rows))
    sides = {
        "imprinted, no training": [
            (r.imprinted, [t.imprinted for t in r.trials]) for r in study.rows
        ],
        f"trained for {study.epochs} epochs": [
            (r.tuned, [t.tuned for t in r.trials]) for r in study.rows
        ],
    }
    for number, ((side, rows), colour) in enumerate(zip(sides.items(), COLOURS, strict=False)):
        places = [place + (number - 0.5) * 0.08 for place in across]
        means = [mean.mean for mean, _ in rows]
        bars = [mean.mean - mean.low for mean, _ in rows]
        axes.errorbar(places, means, yerr=bars, color=colour, capsize=4, linewidth=2, label=side)
        for place, (_, values) in zip(places, rows, strict=True):
            axes.scatter([place] * len(values), values, s=12, color=colour, alpha=0.6)
    seeds = len(study.rows[0].trials)
    title = f"{metric} on val: {seeds} draws, their mean and its 95 % interval"
    dress(axes, title, legend=True, across="pictures of each class")
    axes.set_xticks(list(across), [str(row.shots) for row in study.rows])
    top = max(max(t.imprinted, t.tuned) for row in study.rows for t in row.trials)
    axes.set_ylim(0, min(top * 1.25, 1.0) or 1.0)
    with atomic_path(path) as scratch:
        figure.savefig(scratch, format="png", dpi=120, metadata={"Software": None})
