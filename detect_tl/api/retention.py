"""What a model that learned new classes still knows of those that it was to keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.evaluation import evaluate
from detect_tl.core.errors import DataError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.evaluation.metrics import Metrics
    from detect_tl.training.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Retention:
    """Average precision of kept classes, before and after, by COCO's thresholds from .5 to .95.

    data: what it was measured on. classes: (before, after) of every kept class that it shows.
    """

    data: Path
    classes: dict[str, tuple[float, float]]

    @property
    def before(self) -> float:
        return sum(before for before, _ in self.classes.values()) / len(self.classes)

    @property
    def after(self) -> float:
        return sum(after for _, after in self.classes.values()) / len(self.classes)

    def as_json(self) -> dict[str, Any]:
        return {
            "data": str(self.data),
            "mAP50-95": {"before": self.before, "after": self.after},
            "per_class": {
                name: {"before": before, "after": after}
                for name, (before, after) in self.classes.items()
            },
        }


def measure_retention(run: RunFolder, progress: Progress) -> Retention | None:
    """Measure the weights that a run began with, and its best checkpoint, on its yardstick.

    None where the run has none. Raises DataError when the yardstick shows no kept class.
    """
    from detect_tl.models.checkpoint import load_checkpoint
    from detect_tl.training.keeping import kept_classes

    config = run.config()
    if config.yardstick is None:
        return None
    source = load_checkpoint(Path(config.weights), trust=config.trust)
    kept = kept_classes(config, source.names)
    found = []
    for model in (config.weights, run.path):
        result = evaluate(
            model,
            config.yardstick,
            split="all",
            imgsz=config.imgsz,
            device=config.device,
            trust=config.trust,
            analysis=False,
            classes=kept,  # new ones must not take the place of old ones among the 300 that count
            progress=progress,
        )
        found.append(_by_class(result.metrics))
    shown = [name for name in kept if name in found[0]]
    if not shown:
        raise DataError(
            "shows no class that is kept, so it cannot tell whether they were",
            path=config.yardstick,
            hint="Name labelled pictures of these classes with --yardstick.",
        )
    before, after = found
    return Retention(config.yardstick, {name: (before[name], after[name]) for name in shown})


def _by_class(metrics: Metrics) -> dict[str, float]:
    """Average precision of boxes, of the classes that there were objects of."""
    return {scores.name: scores.ap for scores in metrics.box.per_class if scores.ap is not None}
