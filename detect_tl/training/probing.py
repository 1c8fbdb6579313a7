"""What a model that was trained on something else makes of a few pictures, in one look at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detect_tl.models.cut import cut_before
from detect_tl.training.imprint import TO_USE, imprint_from
from detect_tl.training.pictures import Picture, Pictures, read_picture
from detect_tl.transfer.freeze import FreezeSpec, frozen_layers

Floats = NDArray[np.float32]

_BATCH = 8
_BACKGROUND = 12  # points of a picture that stand for what is no object
_OBJECTS = 12  # of a picture: a slide of cells has hundreds, much alike


@dataclass(frozen=True, slots=True)
class Points:
    """Places on pictures that say something: middles of objects, and of what is no object.

    picture: (N,) its number. xy: (N, 2) in pixels of the input. label: (N,) class, or -1 for what
    is no object. sides: (N, 4) from the place to the left, top, right and bottom of its object, in
    shares of the input, NaN for what is no object.
    """

    picture: NDArray[np.int64]
    xy: NDArray[np.float64]
    label: NDArray[np.int64]
    sides: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """What a model answered to pictures.

    classes: the inputs (N, C, H, W) of the last convolution of the class branch, by level. boxes:
    (N, 4, A): centre and size in pixels of the input, as the weights find them. features: by what
    is frozen, (points, D) that go from frozen layers to those that train.
    """

    classes: tuple[Tensor, ...]
    boxes: Tensor
    features: Mapping[str, Floats]


def choose_points(pictures: Sequence[Picture], imgsz: int, seed: int) -> Points:
    """Places on pictures: off the middle of objects by up to a quarter of their sides, so that
    where an edge is cannot be said without looking; and places that no object covers."""
    rng = np.random.default_rng(seed)
    found: list[tuple[int, float, float, int, NDArray[np.float64]]] = []
    for number, picture in enumerate(pictures):
        for k in rng.permutation(len(picture.boxes))[:_OBJECTS].tolist():
            x1, y1, x2, y2 = picture.boxes[k]
            shift = rng.uniform(-0.25, 0.25, 2)
            x, y = (x1 + x2) / 2 + shift[0] * (x2 - x1), (y1 + y2) / 2 + shift[1] * (y2 - y1)
            sides = np.array([x - x1, y - y1, x2 - x, y2 - y]) / imgsz
            found.append((number, x, y, int(picture.labels[k]), sides))
        for x, y in rng.uniform(0, imgsz - 1, (_BACKGROUND, 2)).tolist():
            low, high = picture.boxes[:, :2], picture.boxes[:, 2:]
            if not ((low <= [x, y]) & (high >= [x, y])).all(axis=1).any():
                found.append((number, x, y, -1, np.full(4, np.nan)))
    columns = list(zip(*found, strict=True))
    return Points(
        np.array(columns[0], np.int64),
        np.array(columns[1:3], np.float64).T,
        np.array(columns[3], np.int64),
        np.array(columns[4], np.float64),
    )


def read_pictures(pictures: Pictures, imgsz: int) -> list[Picture]:
    """All of them, as a model is shown them."""
    return [read_picture(pictures, index, imgsz) for index in range(len(pictures))]


def look(
    model: Any,
    pictures: Sequence[Picture],
    points: Points,
    depths: Sequence[FreezeSpec],
    device: torch.device,
) -> Look:
    """Show pictures to a model, once.

    depths: what might be frozen, of which the features at `points` are kept.
    """
    model = model.to(device, memory_format=torch.channels_last).eval()
    head = model.model[-1]
    if hasattr(head, "one2one_cv2"):
        head.end2end = False
    needed = {
        str(depth): cut_before(model, len(frozen_layers(depth, model.yaml).layers)).needed
        for depth in depths
    }
    boxes: list[Tensor] = []
    classes: list[list[Tensor]] = [[] for _ in head.cv3]
    features: dict[str, list[Floats]] = {name: [] for name in needed}
    with ExitStack() as stack, torch.inference_mode():
        inputs = [_inputs(branch[-1], stack) for branch in head.cv3]
        outputs = {
            layer: _outputs(model.model[layer], stack)
            for layer in {layer for layers in needed.values() for layer in layers}
        }
        for start in range(0, len(pictures), _BATCH):
            part = pictures[start : start + _BATCH]
            pixels = torch.cat([picture.pixels for picture in part]).to(device)
            answer = model(pixels.contiguous(memory_format=torch.channels_last))
            boxes.append(_first(answer)[:, :4].float().cpu())
            for kept, seen in zip(classes, inputs, strict=True):
                kept.append(seen[0].float().cpu())
            inside = (points.picture >= start) & (points.picture < start + len(part))
            for name, layers in needed.items():
                maps = [outputs[layer][0] for layer in layers]
                features[name].append(_at(maps, points, inside, start, pixels.shape[-1]))
    return Look(
        tuple(torch.cat(kept) for kept in classes),
        torch.cat(boxes),
        {name: np.concatenate(parts) for name, parts in features.items()},
    )


def answers_by_imprinting(
    model: Any,
    seen: Look,
    pictures: Sequence[Picture],
    *,
    learn: Sequence[int],
    judge: Sequence[int],
    classes: Sequence[int],
) -> Floats:
    """What the model would answer to some pictures, were `classes` imprinted from others.

    learn, judge: numbers of pictures. Returns (judge, 4 + classes, A), as a detector answers.
    """
    head = model.model[-1]
    convs = [deepcopy(branch[-1]).float().cpu() for branch in head.cv3]
    strides = [float(stride) for stride in model.stride]
    with torch.no_grad():
        imprint_from(
            convs,
            [level[list(learn)] for level in seen.classes],
            [pictures[k] for k in learn],
            classes,
            strides=strides,
            seed=0,
            rule=TO_USE,
        )
        scores = [
            conv(level[list(judge)]).flatten(2).sigmoid()
            for conv, level in zip(convs, seen.classes, strict=True)
        ]
    found = torch.cat([seen.boxes[list(judge)], torch.cat(scores, dim=2)], dim=1)
    return np.asarray(found.numpy(), np.float32)


def _inputs(layer: Any, stack: ExitStack) -> list[Tensor]:
    """Holds the last input of a layer."""
    held: list[Tensor] = []

    def keep(_: Any, given: tuple[Tensor, ...]) -> None:
        held[:] = [given[0]]

    stack.callback(layer.register_forward_pre_hook(keep).remove)
    return held


def _outputs(layer: Any, stack: ExitStack) -> list[Tensor]:
    """Holds the last output of a layer."""
    held: list[Tensor] = []

    def keep(_module: Any, _given: Any, answer: Tensor) -> None:
        held[:] = [answer]

    stack.callback(layer.register_forward_hook(keep).remove)
    return held


def _first(answer: Any) -> Tensor:
    """The predictions, out of what a model answers: ((predictions, prototypes), raw) at most."""
    while isinstance(answer, tuple | list):
        answer = answer[0]
    assert isinstance(answer, Tensor)
    return answer


def _at(
    maps: Sequence[Tensor], points: Points, inside: NDArray[np.bool_], start: int, side: int
) -> Floats:
    """(points, D): what all maps say at places, side by side. side: of the input in pixels."""
    pictures = torch.from_numpy(points.picture[inside] - start)
    columns = []
    for answer in maps:
        height, width = answer.shape[2:]
        cells = (points.xy[inside] * [width / side, height / side]).astype(np.int64)
        x = torch.from_numpy(cells[:, 0].clip(0, width - 1))
        y = torch.from_numpy(cells[:, 1].clip(0, height - 1))
        columns.append(answer[pictures, :, y, x].float().cpu())
    return np.asarray(torch.cat(columns, dim=1).numpy(), np.float32)
