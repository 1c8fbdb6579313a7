"""What a detector's backbone makes of a picture, as one vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.models.cut import cut_before, run_front
from detect_tl.models.fold import folded
from detect_tl.models.torch_backend import device_name
from detect_tl.transfer.freeze import LayerRanges


class BackboneFeatures:
    """Pools the answers of the last layer of a checkpoint's backbone over each picture."""

    def __init__(self, path: Path, *, device: str = "", trust: bool = False) -> None:
        """device: as for `TorchBackend`. Raises WeightsError as `load_checkpoint` does."""
        checkpoint = load_checkpoint(path, trust=trust)
        self._device = torch.device(device_name(device))
        self._cut = cut_before(checkpoint.model, LayerRanges.of(checkpoint.yaml).neck)
        self._layers = folded(checkpoint.model.model[: self._cut.first]).to(self._device)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float64]:
        """(b, 3, h, w) float32 RGB in [0, 1] to (b, channels)."""
        with torch.inference_mode():
            maps = run_front(self._layers, self._cut, torch.from_numpy(batch).to(self._device))
            last = maps[self._cut.needed[-1]]
        return np.asarray(last.float().mean(dim=(2, 3)).cpu().numpy(), np.float64)
