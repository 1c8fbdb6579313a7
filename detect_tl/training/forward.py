"""How a model answers during training: from kept features where there are any, in mixed precision.

The methods live in the instance, as long as they are needed, so neither the class nor a copy of the
model (the average, a checkpoint) knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from detect_tl.models.cut import Cut, run_front, run_rest, to_float32
from detect_tl.training.precision import autocast

Maps = dict[int, torch.Tensor]


class Forward:
    """The forward pass of one model.

    cut: where its frozen layers end, when answers of theirs are kept; None otherwise.
    """

    def __init__(self, model: Any, device: torch.device, *, mixed: bool) -> None:
        self.cut: Cut | None = None
        self._model = model
        self._device = device
        self._mixed = mixed
        self._plain: Callable[..., Any] = model.forward

    def install(self) -> None:
        """Let the model answer to training batches through this.

        On a CPU with channels last, which doubles the speed of float32 too.
        """
        if self._device.type == "cpu":
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
            return run_front(self._model, self.cut, pictures)

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
        own = Forward(average, self._device, mixed=self._mixed)
        own.cut = self.cut
        head = average.model[-1]
        decode = head._inference

        def answer(x: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(x, dict) or own.cut is None:
                return own(x, *args, **kwargs)
            number = batch()
            if number not in kept:
                kept[number] = own.front(x)
            return own.rest(kept[number])

        def decode_in_float32(raw: Any) -> Any:
            # bfloat16 has eight bits: boxes decoded in it are off by pixels
            with torch.autocast(self._device.type, enabled=False):
                return decode(to_float32(raw))

        head._inference, average.forward = decode_in_float32, answer
        try:
            yield
        finally:
            del head._inference, average.forward
