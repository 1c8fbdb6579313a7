"""BatchNorm statistics estimated anew on pictures without labels.

A layer of BatchNorm expects the mean and variance that its inputs had during training. Another
camera moves them. What is measured on its pictures is mixed with what the model brought along, as
if that rested on `PRIOR_PICTURES` pictures (Schneider et al., "Improving robustness against common
corruptions by covariate shift adaptation", 2020):

    share = n / (n + PRIOR_PICTURES)

Training pictures are augmented, so a model's own statistics differ from those of plain pictures of
the very same camera. Where plain pictures of the source are at hand, only what differs between the
two cameras is applied (a reference): on the same camera next to nothing changes then. Without them,
deep layers had better stay as they are: yolo11n on its own camera (28 pictures of COCO at 320
pixels) fell from .52 to .39 mAP50-95 with a share of 0.3 in all layers, to .44 with 0.5 in the
first five, and to .51 with 0.5 in the first two. Those see light and colours; what the others see
hangs on what is in the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

PRIOR_PICTURES = 16
"""The pictures that a model's own statistics count for."""


@dataclass(frozen=True, slots=True)
class Moments:
    """mean, variance: (channels,) of the inputs of one layer, over pictures and places."""

    mean: Tensor
    variance: Tensor


Reference = Mapping[str, Moments]
"""By the name of a layer, what plain pictures of the source give."""


_SHALLOW = 2  # layers, up to stride 4 in YOLOv8, YOLO11 and YOLO26


def share_of(pictures: int) -> float:
    """How much of the new statistics is taken from so many pictures, 0 to 1."""
    return pictures / (pictures + PRIOR_PICTURES)


def measure(model: nn.Module, pictures: Tensor) -> dict[str, Moments]:
    """What the BatchNorm layers of a model see in these pictures; the model stays as it is.

    pictures: (n, 3, height, width) float32 in [0, 1].
    """
    seen: dict[str, Moments] = {}
    _show(model, pictures, lambda name, _, moments: seen.update({name: moments}))
    return seen


def reestimate(
    model: nn.Module, pictures: Tensor, share: float, reference: Reference | None = None
) -> None:
    """Give the BatchNorm layers of a model the statistics of these pictures, in place.

    pictures: as for `measure`. share: see above. reference: what `measure` said of plain pictures
    of the source; without it only the first layers are adapted. All pictures go through at once,
    each layer after those before it have been adapted, so that what a layer is given is what it
    will see. Nothing but running means and variances changes.
    """

    def adapt(name: str, layer: Any, seen: Moments) -> None:
        if reference is None and not _is_shallow(name):
            return
        own = Moments(layer.running_mean, layer.running_var)
        new = _mixed(own, seen, share, None if reference is None else reference[name])
        layer.running_mean.copy_(new.mean)
        layer.running_var.copy_(new.variance)

    _show(model, pictures, adapt)


def batch_norms(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers with running statistics, by name."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            yield name, layer


def _is_shallow(name: str) -> bool:
    """Whether a layer of a YOLO, "model.1.bn", is one of the first."""
    return int(name.split(".")[1]) < _SHALLOW


def _mixed(own: Moments, seen: Moments, share: float, reference: Moments | None) -> Moments:
    if reference is None:
        return Moments(
            torch.lerp(own.mean, seen.mean, share), torch.lerp(own.variance, seen.variance, share)
        )
    # what takes the source's pictures to the new ones, channel by channel: scale · x + shift
    tiny = torch.finfo(own.variance.dtype).tiny
    ratio = (seen.variance + tiny) / (reference.variance + tiny)
    # written so that nothing is rounded where nothing differs
    shift = (seen.mean - reference.mean) + (ratio.sqrt() - 1) * (own.mean - reference.mean)
    return Moments(own.mean + share * shift, own.variance * ratio.pow(share))


def _show(model: nn.Module, pictures: Tensor, before: Callable[[str, Any, Moments], None]) -> None:
    """Let pictures through; `before` is called with every layer before it answers."""

    def hook(name: str) -> Callable[[Any, tuple[Tensor]], None]:
        return lambda layer, inputs: before(name, layer, _moments(inputs[0]))

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in batch_norms(model)]
    model.eval()
    try:
        with torch.no_grad():
            model(pictures)
    finally:
        for handle in handles:
            handle.remove()


def _moments(x: Tensor) -> Moments:
    variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    return Moments(mean, variance)
