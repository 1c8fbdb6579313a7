"""A trained checkpoint behind the same door as an exported file, so that both are judged alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detect_tl.core.model_spec import ModelSpec
from detect_tl.models.checkpoint import load_checkpoint


class TorchBackend:
    """Runs a `.pt` checkpoint; answers in the layout of `ModelSpec`, as an exported model does."""

    def __init__(
        self,
        path: Path,
        *,
        imgsz: int | tuple[int, int] = 640,
        device: str = "",
        trust: bool = False,
    ) -> None:
        """Load a checkpoint.

        imgsz: side of the input, or (height, width), in pixels.
        device: "cpu", "mps" or a CUDA number; empty for the best there is.

        Raises WeightsError when the file is no checkpoint or is refused.
        """
        checkpoint = load_checkpoint(path, trust=trust)
        self._device = torch.device(device_name(device))
        self._model = checkpoint.model.to(self._device).eval()
        head = self._model.model[-1]
        self.spec = ModelSpec(
            names=tuple(checkpoint.names),
            task=checkpoint.task,
            imgsz=(imgsz, imgsz) if isinstance(imgsz, int) else imgsz,
            stride=int(self._model.stride.max()),
            dynamic=True,
            end2end=bool(getattr(head, "end2end", False)),
        )

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the model on (b, 3, h, w) float32 RGB in [0, 1]."""
        with torch.inference_mode():
            answer = self._model(torch.from_numpy(batch).to(self._device))
        return [part.float().cpu().numpy() for part in _arrays(answer, self.spec.task)]

    def close(self) -> None:
        """Let go of the model."""
        self._model = torch.nn.Identity()


def _arrays(answer: Any, task: str) -> list[torch.Tensor]:
    """Pick the arrays of `ModelSpec` out of what Ultralytics returns in evaluation mode.

    Detection: (predictions, raw). Segmentation: ((predictions, prototypes), raw).
    """
    first = answer[0] if isinstance(answer, tuple | list) else answer
    if task == "segment":
        predictions, prototypes = first
        return [predictions, prototypes]
    return [first]


def device_name(device: str) -> str:
    """A device as torch calls it; empty for the best there is."""
    if device:
        return f"cuda:{device}" if device.isdigit() else device
    return "cuda:0" if torch.cuda.is_available() else "cpu"
