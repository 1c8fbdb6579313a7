"""What a model learns from another one beside its labels: the other's answers to the same pictures.

A teacher may be larger, or it may be what the model was before it learned new classes (learning
without forgetting, Li and Hoiem 2016). It teaches the classes that both know by name: their scores,
and where it is sure of an object, also its box (as distributions: Li et al. 2020, Zheng et al.
2022) and its outline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from detect_tl.core.errors import WeightsError
from detect_tl.models.checkpoint import Checkpoint
from detect_tl.models.cut import to_float32
from detect_tl.models.fold import folded
from detect_tl.models.yolo import make_anchors
from detect_tl.training.team import Team

# Beside the answers of layers a view of kept features has those of teachers, under these numbers.
_FIRST_KEY = 1000
_PARTS = ("scores", "boxes", "mask_coefficient", "proto")
_SURE = 0.05  # a score below which a teacher says nothing of boxes
_OUTLINE = 0.25  # and of outlines
_MOST_OUTLINES = 20  # of a picture

Maps = dict[int, Tensor]


class Teacher:
    """A model that answers and does not change.

    number: which of several it is. only: names of the classes that it teaches; None: all that the
    other model knows too. weight: of its lesson beside the labels.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        number: int = 0,
        only: Collection[str] | None = None,
        weight: float = 1.0,
    ) -> None:
        self.checkpoint = checkpoint
        self.model: Any = folded(checkpoint.model).to(memory_format=torch.channels_last)
        self.weight = weight
        self.only = only
        self._keys = {name: _FIRST_KEY * (number + 1) + k for k, name in enumerate(_PARTS)}

    def shared(self, names: Sequence[str]) -> list[tuple[int, int]]:
        """(class here, class of the teacher) of all that it teaches to a model with these classes.

        Raises WeightsError when there is none.
        """
        known = {name: row for row, name in enumerate(self.checkpoint.names)}
        pairs = [
            (here, known[name])
            for here, name in enumerate(names)
            if name in known and (self.only is None or name in self.only)
        ]
        if not pairs:
            raise WeightsError(
                "knows none of the classes that are learned, so it cannot teach them",
                path=self.checkpoint.path,
                hint="A teacher is a model that was trained on the same classes.",
            )
        return pairs

    def answer(self, images: Tensor) -> Maps:
        """(N, C, 1, anchors) scores, box distributions and so on; of masks, (N, C, H, W).

        images: (N, 3, H, W), 0 to 1.
        """
        with torch.no_grad():
            pictures = images.contiguous(memory_format=torch.channels_last)
            found = self.model.to(images.device)(pictures)[1]
        found = found.get("one2many", found)
        return {
            key: found[name] if found[name].ndim == 4 else found[name][:, :, None]
            for name, key in self._keys.items()
            if name in found and not isinstance(found[name], tuple)
        }

    def answers_in(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The same by name: what was kept of it, else what it answers now."""
        maps = batch.get("maps", {})
        if self._keys["scores"] not in maps:
            maps = batch.setdefault("taught", {})
            if self._keys["scores"] not in maps:
                maps.update(self.answer(batch["img"]))
        found = {name: maps[key].float() for name, key in self._keys.items() if key in maps}
        return {k: v if k == "proto" else v[:, :, 0] for k, v in found.items()}


class Lessons:
    """The loss of what teachers say; see `objective.Lesson`.

    names: the classes that are learned, in the order of their ids. team: with whom the batch is
    shared.
    """

    def __init__(
        self, teachers: Sequence[Teacher], names: Sequence[str], team: Team | None = None
    ) -> None:
        self._teachers = [(teacher, teacher.shared(names)) for teacher in teachers]
        self._team = team or Team()

    def front(self, front: Callable[[Tensor], Maps]) -> Callable[[Tensor], Maps]:
        """What is kept of pictures: the answers of frozen layers, and those of the teachers."""

        def answer(images: Tensor) -> Maps:
            found = front(images)
            for teacher, _ in self._teachers:
                found |= teacher.answer(images)
            return found

        return answer

    def __call__(self, part: Any, preds: dict[str, Any], batch: dict[str, Any]) -> Tensor:
        """A loss of the parts that `part` has, summed over the batch as Ultralytics sums it."""
        # a GPU's mixed precision refuses the cross-entropy of probabilities
        with torch.autocast(preds["scores"].device.type, enabled=False):
            return self._of_all(part, to_float32(preds), batch)

    def _of_all(self, part: Any, preds: dict[str, Any], batch: dict[str, Any]) -> Tensor:
        losses = []
        for teacher, pairs in self._teachers:
            told = teacher.answers_in(batch)
            if told["scores"].shape[2] != preds["scores"].shape[2]:
                raise WeightsError(
                    "looks at pictures in another grid than the model that is to learn from it",
                    path=teacher.checkpoint.path,
                    hint="Take a teacher whose strides are the same.",
                )
            losses.append(teacher.weight * _lesson(part, preds, told, pairs, self._team))
        return torch.stack(losses).sum(dim=0) * len(preds["scores"])


class _Sure(NamedTuple):
    """(N, A) how sure a teacher is of an object at every anchor, and the sum to divide by."""

    score: Tensor
    total: Tensor


def _lesson(
    part: Any,
    preds: dict[str, Any],
    told: dict[str, Tensor],
    pairs: Sequence[tuple[int, int]],
    team: Team,
) -> Tensor:
    here, there = (list(rows) for rows in zip(*pairs, strict=True))
    right = told["scores"][:, there].sigmoid()
    score = right.amax(dim=1)
    sure = _Sure(score, team.divisor(score.sum()))
    losses = {
        "cls_loss": part.hyp.cls * _scores(preds["scores"][:, here], right) / sure.total,
        part.loss_names[-1 if "seg_loss" not in part.loss_names else 3]: part.hyp.dfl
        * _boxes(preds["boxes"], told["boxes"], sure),
    }
    if "proto" in told and "proto" in preds:
        losses["seg_loss"] = part.hyp.box * _outlines(part, preds, told, sure, team)
    zero = preds["scores"].new_zeros(())
    return torch.stack([losses.get(name, zero) for name in part.loss_names])


def _scores(answers: Tensor, right: Tensor) -> Tensor:
    """Binary cross-entropy of logits to probabilities, less what it is at best: 0 when equal."""
    best = functional.binary_cross_entropy(right, right, reduction="sum")
    return functional.binary_cross_entropy_with_logits(answers, right, reduction="sum") - best


def _boxes(answers: Tensor, right: Tensor, sure: _Sure) -> Tensor:
    """(N, 4 * bins, A) each. The divergence of the distributions of a box's four distances, or
    where the two models have other bins, how far their distances are apart in cells."""
    weight = sure.score * (sure.score > _SURE)
    if answers.shape[1] == right.shape[1] > 4:
        p, q = (values.unflatten(1, (4, -1)).log_softmax(dim=2) for values in (right, answers))
        apart = functional.kl_div(q, p, log_target=True, reduction="none").sum(dim=2)
    else:
        pair = (_distances(answers), _distances(right))
        apart = functional.smooth_l1_loss(*pair, reduction="none")
    return (apart.mean(dim=1) * weight).sum() / sure.total


def _distances(boxes: Tensor) -> Tensor:
    """(N, 4, A) distances from an anchor to the sides of its box, in cells."""
    bins = boxes.unflatten(1, (4, -1))
    if bins.shape[2] == 1:
        return bins[:, :, 0]
    steps = torch.arange(bins.shape[2], device=boxes.device, dtype=boxes.dtype)
    return (bins.softmax(dim=2) * steps[:, None]).sum(dim=2)


def _outlines(
    part: Any, preds: dict[str, Any], told: dict[str, Tensor], sure: _Sure, team: Team
) -> Tensor:
    """Cross-entropy of masks inside the teacher's boxes, where it is sure of an object."""
    anchors, strides = make_anchors(preds["feats"], part.stride, 0.5)
    proto = preds["proto"][0] if isinstance(preds["proto"], tuple) else preds["proto"]
    scale = proto.shape[3] / (preds["feats"][0].shape[3] * float(part.stride[0]))
    distance = _distances(told["boxes"])
    low, high = anchors.T - distance[:, :2], anchors.T + distance[:, 2:]
    corners = torch.cat([low, high], dim=1) * strides.T * scale  # in cells of the prototypes
    total = proto.new_zeros(())
    count = 0
    for row, score in enumerate(sure.score):
        best = score.topk(min(_MOST_OUTLINES, len(score))).indices
        best = best[score[best] > _OUTLINE]
        if not len(best):
            continue
        count += len(best)
        right = torch.einsum(
            "ca,chw->ahw", told["mask_coefficient"][row][:, best], told["proto"][row]
        )
        own = torch.einsum(
            "ca,chw->ahw", preds["mask_coefficient"][row][:, best], proto[row].float()
        )
        right = functional.interpolate(right[None], own.shape[1:], mode="bilinear")[0].sigmoid()
        inside = _inside(corners[row][:, best].T, own.shape[1:])
        loss = functional.binary_cross_entropy_with_logits(own, right, reduction="none")
        best_case = functional.binary_cross_entropy(right, right, reduction="none")
        area = inside.sum(dim=(1, 2)).clamp(min=1)
        total = total + (((loss - best_case) * inside).sum(dim=(1, 2)) / area).sum()
    anything = (proto * 0).sum() + (preds["mask_coefficient"] * 0).sum()
    return total / team.divisor(total.new_tensor(float(count))) + anything


def _inside(boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """(n, H, W) whether the middle of a cell is in a box. boxes: (n, 4) xyxy in cells."""
    y = torch.arange(shape[0], device=boxes.device)[None, :, None] + 0.5
    x = torch.arange(shape[1], device=boxes.device)[None, None, :] + 0.5
    x1, y1, x2, y2 = (side[:, None, None] for side in boxes.unbind(dim=1))
    return (x > x1) & (x < x2) & (y > y1) & (y < y2)
