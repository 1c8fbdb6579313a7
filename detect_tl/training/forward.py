"""How a model answers during training: from kept features where there are any, in mixed precision.

The methods live in the instance, as long as they are needed, so neither the class nor a copy of the
model (the average, a checkpoint) knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from detect_tl.models.cut import Cut, first_rows, pad_rows, run_front, run_rest, to_float32
from detect_tl.models.fold import folded
from detect_tl.training.precision import autocast

Maps = dict[int, torch.Tensor]


class Forward:
    """The forward pass of one model.

    cut: where its frozen layers end, when answers of theirs are kept; None otherwise. Set it again
    when these layers may have changed.
    even: whether batches should have one size. cuDNN plans every layer anew for another one: a
    smaller last batch of an epoch took 6 s of an H200 that trained in 1.4 s.
    """

    def __init__(self, model: Any, device: torch.device, *, mixed: bool) -> None:
        self.even = device.type == "cuda"
        self._cut: Cut | None = None
        self._front: Any = None
        self._model = model
        self._device = device
        self._mixed = mixed
        self._plain: Callable[..., Any] = model.forward

    @property
    def cut(self) -> Cut | None:
        return self._cut

    @cut.setter
    def cut(self, cut: Cut | None) -> None:
        self._cut, self._front = cut, None

    def install(self) -> None:
        """Let the model answer to training batches through this.

        With channels last: on a CPU it doubles the speed of float32 too, and a GPU's units for 16
        bits need no copies.
        """
        if self._device.type in ("cpu", "cuda"):
            self._model.to(memory_format=torch.channels_last)
        self._model.forward = self

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """What the model answers to pictures; the loss, for a batch."""
        if isinstance(x, dict):
            maps = x.get("maps")
            return self._plain(x) if maps is None else self._model.loss(x, self.rest(maps))
        with autocast(self._device, mixed=self._mixed):
            answer = self._plain(x.contiguous(memory_format=torch.channels_last), *args, **kwargs)
        return to_float32(answer)

    def front(self, images: torch.Tensor) -> Maps:
        """What the frozen layers answer to pictures."""
        assert self.cut is not None
        with torch.no_grad(), autocast(self._device, mixed=self._mixed):
            pictures = images.contiguous(memory_format=torch.channels_last)
            if self._front is None:
                self._front = folded(self._model.model[: self.cut.first])
            return run_front(self._front, self.cut, pictures)

    def rest(self, maps: Maps) -> Any:
        """What the model answers, from the answers of the frozen layers."""
        assert self.cut is not None
        with autocast(self._device, mixed=self._mixed):
            if not torch.is_autocast_enabled(self._device.type):
                # they are kept in half of the bits
                maps = {layer: answer.float() for layer, answer in maps.items()}
            return to_float32(run_rest(self._model, self.cut, maps))

    @contextmanager
    def lent_to(
        self, average: Any, kept: dict[int, Maps], batch: Callable[[], int]
    ) -> Iterator[None]:
        """Let an average of the model answer in the same way while it is validated.

        kept: answers of the frozen layers by number of the batch, used and added to while there is
        a cut. batch: the number of the batch that is asked for.
        """
        # its pictures are many; not on a GPU, where Ultralytics halves the average after this
        answering = folded(average) if self._device.type == "cpu" else average
        own = Forward(answering, self._device, mixed=self._mixed)
        own.cut, own.even = self.cut, self.even
        head = answering.model[-1]
        decode, most = head._inference, 0

        def answer(x: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal most
            if isinstance(x, dict):
                return own(x, *args, **kwargs)
            most = max(most, len(x))
            pictures = pad_rows(x, most) if own.even else x
            if own.cut is None:
                return first_rows(own(pictures, *args, **kwargs), len(x))
            number = batch()
            if number not in kept:
                kept[number] = own.front(pictures)
            return first_rows(own.rest(kept[number]), len(x))

        def decode_in_float32(raw: Any) -> Any:
            # bfloat16 has eight bits, float16 eleven: boxes decoded in them are off by pixels
            with torch.autocast(self._device.type, enabled=False):
                return decode(to_float32(raw))

        head._inference, average.forward = decode_in_float32, answer
        try:
            yield
        finally:
            del head._inference, average.forward
