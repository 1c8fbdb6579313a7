"""Class rows that know their class before the first step.

The last convolution of a class branch has one row per class. A row that no old class can lend is
not left random: it is computed from what the layers before it answer to the class's own training
objects (weight imprinting, Qi et al. 2018), as the linear discriminant between the middles of these
objects and everything that is no object (Fisher 1936), one for every level of the head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detect_tl.models.fold import folded
from detect_tl.training.pictures import Picture, read_picture

_BRANCHES = ("cv3", "one2one_cv3")
# A level sees objects best whose side is about so many of its cells.
_CELLS = 6.0
_SHRINKAGE = 0.1
_SILENT = -11.0  # the bias of a row that answers nowhere


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows are computed.

    enough: objects of a class that suffice; pictures that hold no other class are then passed over.
    fewest: objects of a class at a level, for a row of it to be computed there.
    background: cells of a picture and level that stand for what is no object; None: all of them,
    and with them those inside of a box that are beside its middle.
    most_logit: a row is not surer of the middle of its class than this, above its prior.
    silent: whether a row that is not computed at a level answers nowhere there; otherwise it stays
    as it was.
    """

    enough: int = 40
    fewest: int = 3
    background: int | None = 48
    most_logit: float = 1.0
    silent: bool = False


# On BCCD (mAP50-95 before the first step, and after three epochs) a logit of 3 gave .207 and .577,
# 1 gave .128 and .600, 0.5 gave .104 and .595, random rows 0 and .594.
TO_TRAIN_ON = Rule()
# At 320 pixels and with 100 images of BCCD, all 61 of the balloons, or 5 of either (val mAP50-95):
# this gave .233, .502, .210, .433; the rule above .196, .453, .185, .414; with all cells and no
# bound .200 and .462; logistic regression on all cells .273, .452, and .162, .256 with 5.
TO_USE = Rule(enough=60, fewest=1, background=None, most_logit=3.0, silent=True)


@dataclass
class _Moments:
    """Number, sum and products of vectors, to get mean and scatter from."""

    width: int
    count: int = 0
    total: Tensor = field(init=False)
    products: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.total = torch.zeros(self.width, dtype=torch.float64)
        self.products = torch.zeros((self.width, self.width), dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """vectors: (N, width)."""
        values = vectors.double().cpu()
        self.count += len(values)
        self.total += values.sum(dim=0)
        self.products += values.T @ values

    @property
    def mean(self) -> Tensor:
        return self.total / max(self.count, 1)

    @property
    def scatter(self) -> Tensor:
        return self.products - self.count * torch.outer(self.mean, self.mean)


def imprint(
    model: Any,
    dataset: Any,
    classes: Sequence[int],
    *,
    imgsz: int,
    device: torch.device,
    seed: int,
    rule: Rule = TO_TRAIN_ON,
) -> dict[int, int]:
    """Compute the rows of `classes` from their objects, in place.

    dataset: of Ultralytics, or `Pictures`, with the training pictures. Returns how many objects
    were seen of each class; where they were too few, the row stays as it was.
    """
    seen = dict.fromkeys(classes, 0)
    rng = np.random.default_rng(seed)
    strides = [float(stride) for stride in model.stride]
    answering = folded(model).to(memory_format=torch.channels_last)
    heads = model.model[-1], answering.model[-1]
    branches = [
        tuple(getattr(head, name) for head in heads)
        for name in _BRANCHES
        if getattr(heads[0], name, None) is not None
    ]
    with ExitStack() as stack:
        levels = [
            (conv[-1], _watch(watched[-1], stack), _Level(number, strides, rng, rule))
            for branch in branches
            for number, (conv, watched) in enumerate(zip(*branch, strict=True))
        ]
        for conv, _, level in levels:
            level.begin(conv.in_channels, classes)
        for index in _enough(dataset, seen, rng, rule.enough):
            picture = read_picture(dataset, index, imgsz)
            pixels = picture.pixels.to(device).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                answering(pixels)
            for _, answer, level in levels:
                level.look(answer()[0], picture)
    for conv, _, level in levels:
        level.write(conv)
    if rule.silent:
        _silence([(conv, level.written) for conv, _, level in levels], classes)
    return seen


def imprint_from(
    convs: Sequence[Any],
    answers: Sequence[Tensor],
    pictures: Sequence[Picture],
    classes: Sequence[int],
    *,
    strides: Sequence[float],
    seed: int,
    rule: Rule,
) -> None:
    """Compute rows from answers that are there already, in place.

    convs: the last convolution of every level. answers: of each, its inputs (N, C, H, W) to the
    pictures.
    """
    rng = np.random.default_rng(seed)
    levels = [_Level(number, strides, rng, rule) for number in range(len(convs))]
    for conv, level, seen in zip(convs, levels, answers, strict=True):
        level.begin(conv.in_channels, classes)
        for answer, picture in zip(seen, pictures, strict=True):
            level.look(answer, picture)
        level.write(conv)
    if rule.silent:
        _silence([(c, level.written) for c, level in zip(convs, levels, strict=True)], classes)


def _silence(levels: Sequence[tuple[Any, frozenset[int]]], classes: Sequence[int]) -> None:
    """Let no level answer for a class whose row was not computed there: it would be random.

    levels: the last convolution of each, and the classes whose rows were computed there.
    """
    with torch.no_grad():
        for conv, written in levels:
            for label in set(classes) - written:
                conv.weight[label] = 0
                conv.bias[label] = _SILENT


def _enough(dataset: Any, seen: dict[int, int], rng: np.random.Generator, enough: int) -> list[int]:
    """Pictures that hold enough objects of every class, which are counted in `seen`."""
    chosen = []
    for index in rng.permutation(len(dataset)).tolist():
        held = dataset.labels[index]["cls"].reshape(-1).astype(int).tolist()
        if any(seen.get(label, enough) < enough for label in held):
            chosen.append(index)
            for label in held:
                if label in seen:
                    seen[label] += 1
    return sorted(chosen)


def _watch(conv: nn.Module, stack: ExitStack) -> Callable[[], Tensor]:
    """Gives the last input of a layer, (N, C, H, W)."""
    held: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        held[:] = [inputs[0].detach().float()]

    handle = conv.register_forward_pre_hook(keep)
    stack.callback(handle.remove)
    return lambda: held[0]


class _Level:
    """What the input of a last convolution is in the middle of objects, and elsewhere."""

    def __init__(
        self, number: int, strides: Sequence[float], rng: np.random.Generator, rule: Rule
    ) -> None:
        self._stride = strides[number]
        self._strides = strides
        self._rng = rng
        self._rule = rule
        self.written: frozenset[int] = frozenset()

    def begin(self, width: int, classes: Sequence[int]) -> None:
        """width: of the input. classes: whose rows are wanted."""
        self._background = _Moments(width)
        self._classes = {label: _Moments(width) for label in classes}
        self._objects = dict.fromkeys(classes, 0)
        self._cells = 0

    def look(self, answer: Tensor, picture: Picture) -> None:
        """answer: (C, H, W) to the picture."""
        _, height, width = answer.shape
        cells = picture.boxes / self._stride
        y, x = np.nonzero(self._free(cells, height, width))
        if len(y):
            most = self._rule.background or len(y)
            some = self._rng.choice(len(y), min(most, len(y)), replace=False)
            self._background.add(answer[:, y[some], x[some]].T)
        self._cells += height * width
        for box, cell, label in zip(picture.boxes, cells, picture.labels.tolist(), strict=True):
            if label in self._classes and _stride_for(box, self._strides) == self._stride:
                self._classes[label].add(_middle(answer, cell))
                self._objects[label] += 1

    def _free(self, cells: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
        """(height, width): the cells that stand for what is no object. cells: boxes in cells."""
        free = np.ones((height, width), dtype=np.bool_)
        for box in cells:
            if self._rule.background is None:
                free[_around(box[1], box[3], height), _around(box[0], box[2], width)] = False
            else:
                x1, y1, x2, y2 = box
                free[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)] = False
        return free

    def write(self, conv: Any) -> None:
        """Set the rows of the classes that were seen often enough."""
        fewest = self._rule.fewest
        known = {c: m for c, m in self._classes.items() if self._objects[c] >= fewest}
        if not known or self._background.count < 2:
            return
        groups = [self._background, *known.values()]
        scatter = sum((m.scatter for m in groups), torch.zeros_like(self._background.scatter))
        within = scatter / sum(m.count for m in groups)
        spread = within.diagonal().mean().clamp(min=1e-12)
        width = len(within)
        within = (1 - _SHRINKAGE) * within + _SHRINKAGE * spread * torch.eye(width).double()
        away = self._background.mean
        for label, moments in known.items():
            row = torch.linalg.solve(within, moments.mean - away)
            half = float(row @ (moments.mean - away)) / 2
            row = row * min(1.0, self._rule.most_logit / max(half, 1e-12))
            share = min(max(moments.count / max(self._cells, 1), 1e-4), 0.1)
            bias = math.log(share / (1 - share)) - float(row @ (moments.mean + away)) / 2
            with torch.no_grad():
                conv.weight[label] = row.to(conv.weight).reshape(conv.weight[label].shape)
                conv.bias[label] = bias
        self.written = frozenset(known)


def _stride_for(box: NDArray[np.float64], strides: Sequence[float]) -> float:
    """The stride of the levels that see a box best; of every branch there is one. box: xyxy in
    pixels."""
    side = math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1.0))
    return min(strides, key=lambda stride: abs(math.log(side / (_CELLS * stride))))


def _middle(answer: Tensor, cell: NDArray[np.float64]) -> Tensor:
    """The (N, C) answers in the middle of a box: of one cell, and its neighbours inside the box.

    cell: the box, xyxy in cells.
    """
    _, height, width = answer.shape
    rows = _around(cell[1], cell[3], height)
    columns = _around(cell[0], cell[2], width)
    return answer[:, rows, columns].reshape(len(answer), -1).T


def _around(low: float, high: float, count: int) -> slice:
    """The middle cell between two edges, and the one on either side that lies between them too."""
    middle = min(max(int((low + high) / 2), 0), count - 1)
    first = max(middle - 1, math.ceil(low), 0)
    last = min(middle + 1, math.floor(high) - 1, count - 1)
    return slice(min(first, middle), max(last, middle) + 1)
