"""Ultralytics' loss, where labels do not say everything.

Its criteria are changed in place, part by part (YOLO26 has two): they stay what their trainer and
their checkpoint know them to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from detect_tl.training.coverage import Coverages, coverage_of
from detect_tl.training.team import Team

Preds = dict[str, Any]
Batch = dict[str, Any]
Loss = tuple[Tensor, dict[str, Tensor]]
Lesson = Callable[[Any, Preds, Batch], Tensor]
"""What is learned beyond the labels: to a part, its answers and a batch, a loss as Ultralytics has
it, of the same parts."""

_NEVER = -20.0  # a logit that is as good as no


def extend(
    criterion: Any, coverages: Coverages, lesson: Lesson | None = None, team: Team | None = None
) -> Any:
    """Make a criterion leave out what labels leave open, and learn from `lesson` too.

    team: with whom the batch is shared; losses are divided as those of the whole batch.
    """
    for part in parts_of(criterion):
        part.loss = _Extended(part, coverages, lesson, team or Team())
    return criterion


def parts_of(criterion: Any) -> Iterator[Any]:
    """The losses that a criterion is made of: one, or those of the two heads of YOLO26."""
    parts = [getattr(criterion, name, None) for name in ("one2many", "one2one")]
    yield from [part for part in parts if part is not None] or [criterion]


def weigh_heads(model: Any, epoch: int, epochs: int) -> None:
    """Let the loss weigh the two heads of YOLO26 as in an epoch, from 0, of a run of so many.

    Ultralytics counts the epochs of a whole run, from its first one. Other models have one head.
    """
    if getattr(model.model[-1], "one2one_cv2", None) is None:
        return
    if getattr(model, "criterion", None) is None:
        model.criterion = model.init_criterion()
    whole = int(model.criterion.one2one.hyp.epochs)
    model.criterion.updates = epoch * max(whole - 1, 1) / max(epochs - 1, 1) - 1
    model.criterion.update()


class _Extended:
    """The loss of one part. Called as Ultralytics calls it, with answers and a batch."""

    def __init__(self, part: Any, coverages: Coverages, lesson: Lesson | None, team: Team) -> None:
        self._part = part
        self._team = team
        self._assigned, self._outlines_seen = torch.zeros(()), torch.zeros(())
        self._coverages = coverages
        self._lesson = lesson
        self._plain: Callable[[Preds, Batch], Loss] = part.loss
        self._bce: Callable[[Tensor, Tensor], Tensor] = part.bce
        self._open = torch.zeros(0)
        self._outlined = torch.ones(0)
        part.bce = self._class_loss
        if hasattr(part, "bcedice_loss"):
            self._outlines = part.calculate_segmentation_loss
            self._semantic = part.bcedice_loss
            part.calculate_segmentation_loss = self._outline_loss
            part.bcedice_loss = self._semantic_loss

    def __call__(self, preds: Preds, batch: Batch) -> Loss:
        scores = preds["scores"]
        found = [coverage_of(file, self._coverages) for file in batch["im_file"]]
        # (N, C) classes that are open; (N,) pictures whose objects all have outlines
        self._open = torch.zeros((len(found), scores.shape[1]), dtype=torch.bool)
        for row, coverage in enumerate(found):
            self._open[row, list(coverage.open)] = True
        self._open = self._open.to(scores.device)
        self._outlined = torch.tensor([c.outlined for c in found], device=scores.device)
        self._assigned, self._outlines_seen = scores.new_zeros(()), scores.new_zeros(())
        loss, items = self._plain(preds, batch)
        if not self._team.alone:
            loss, items = self._as_of_the_whole(loss, items)
        if self._lesson is not None:
            loss = loss + self._lesson(self._part, preds, batch)
        return loss, items

    def _as_of_the_whole(self, loss: Tensor, items: dict[str, Tensor]) -> Loss:
        """Divide by what the shares of a batch hold together, in place of this one alone.

        Ultralytics divides by the sum of the scores that it assigns; the loss of outlines by their
        number; and that of their pixels is a mean over pictures, of which all have equally many.
        """
        own = torch.stack([self._assigned, self._outlines_seen]).float()
        scores, outlines = own.clamp(min=1) / self._team.divisor(own)
        known = {"seg_loss": outlines, "sem_loss": torch.ones_like(scores)}
        factors = torch.stack([known.get(name, scores) for name in items])
        return loss * factors, dict(
            zip(items, torch.stack([*items.values()]) * factors, strict=True)
        )

    def _class_loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """(N, anchors, C). Where nobody looked for a class, only what was found of it counts."""
        self._assigned = targets.detach().sum()
        loss = self._bce(answers, targets)
        return loss.masked_fill(self._open[:, None] & (targets == 0), 0.0)

    def _outline_loss(self, foreground: Tensor, *rest: Any) -> Any:
        """foreground: (N, anchors)."""
        known = foreground & self._outlined[:, None]
        self._outlines_seen = known.sum()
        if not known.any():
            _, _, _, _, prototypes, coefficients, _ = rest
            return (prototypes * 0).sum() + (coefficients * 0).sum()  # stays in the graph
        return self._outlines(known, *rest)

    def _semantic_loss(self, answers: Tensor, targets: Tensor) -> Any:
        """(N, C, H, W), targets of another size than answers."""
        rows = self._outlined
        if not rows.any():
            return (answers * 0).sum()
        targets = functional.interpolate(targets, answers.shape[2:], mode="nearest")
        unknown = self._open[:, :, None, None] & (targets == 0)
        return self._semantic(answers.masked_fill(unknown, _NEVER)[rows], targets[rows])
