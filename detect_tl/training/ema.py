"""An exponential moving average that leaves frozen tensors alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from detect_tl.models.yolo import ModelEMA, unwrap_model


class FrozenEMA(ModelEMA):  # type: ignore[misc]  # Ultralytics is not typed
    """Average of what trains; what is frozen is the same object's bits before and after.

    The plain average computes `d * v + (1 - d) * v`, which rounds: over a thousand steps even a
    tensor that never changes drifts by some units in the last place.
    """

    def __init__(self, model: Any, frozen: Collection[str]) -> None:
        """Start from a copy of `model`; `frozen` names the tensors of its state to leave alone."""
        super().__init__(model)
        state, average = unwrap_model(model).state_dict(), self.ema.state_dict()
        moving = [
            (average[name], tensor)
            for name, tensor in state.items()
            if name not in frozen and tensor.dtype.is_floating_point
        ]
        self._pairs = [pair[0] for pair in moving], [pair[1] for pair in moving]
