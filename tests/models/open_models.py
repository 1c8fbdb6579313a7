"""Open-vocabulary models of random weights, and a text encoder that stands in for CLIP's.

They are built from Ultralytics' own configurations and saved as it saves its own, so that all the
code that loads, tells and exports real ones is run.
"""

from __future__ import annotations

import sys
import types
import zlib
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from detect_tl.models.yolo import BaseModel, WorldModel, YOLOEModel, YOLOESegModel, quiet

TOKENS, WIDTH = 1000, 512


def open_checkpoint(folder: Path, name: str) -> Path:
    """A checkpoint under its official name, such as "yoloe-11s-seg"; of the smallest size."""
    small = name.replace("11s", "11n").replace("v8s", "v8n")
    kind: type[BaseModel] = WorldModel if "world" in name else YOLOEModel
    kind = YOLOESegModel if name.endswith("-seg") else kind
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(f"{small}.yaml", ch=3, nc=80, verbose=False)
        _make_scores_vary(model)
    model.names = {index: f"class {index}" for index in range(80)}
    model.args = {"imgsz": 640}
    path = folder / f"{name}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": deepcopy(model).half(), "train_args": {"imgsz": 64}}, path)
    return path


def _make_scores_vary(model: BaseModel) -> None:
    """Untrained, every score is the same small number, whatever picture and text say."""
    for module in model.modules():
        if hasattr(module, "logit_scale"):
            nn.init.zeros_(module.bias)
            nn.init.zeros_(module.logit_scale)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.running_var, 0.25)
    for branch in model.model[-1].cv3:
        nn.init.normal_(branch[-1].bias)


class Encoder(nn.Module):
    """Sums up an embedding of every token, as a unit vector."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.embedding = nn.Embedding(TOKENS, WIDTH, padding_idx=0)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        summed = self.embedding(tokens).sum(1)
        return summed / summed.norm(dim=-1, keepdim=True)


def mobileclip(folder: Path, name: str = "mobileclip_blt.ts") -> Path:
    """A TorchScript file, as the published encoders are."""
    example = torch.ones(1, 77, dtype=torch.long)
    with quiet():  # tracing is deprecated, and what the published encoders were made by
        torch.jit.trace(Encoder().eval(), example).save(str(folder / name))
    return folder / name


def install_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two functions of the package `clip` that Ultralytics uses, without its vocabulary."""

    def tokenize(texts: str | list[str], truncate: bool = False) -> torch.Tensor:
        del truncate
        several = [texts] if isinstance(texts, str) else texts
        rows = torch.zeros(len(several), 77, dtype=torch.long)
        for row, text in zip(rows, several, strict=True):
            for place, word in enumerate(text.split()):
                row[place] = 1 + zlib.crc32(word.encode()) % (TOKENS - 1)
        return rows

    class Clip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder()

        def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.encoder(tokens)

    def load(name: str, device: object, download_root: str) -> tuple[nn.Module, None]:
        del device, download_root
        assert Path(name).is_file(), f"{name} would be downloaded"
        return Clip(), None

    inner = types.ModuleType("clip.clip")
    inner.tokenize = tokenize
    module = types.ModuleType("clip")
    module.__spec__ = types.SimpleNamespace(name="clip")
    module.clip, module.tokenize, module.load = inner, tokenize, load
    monkeypatch.setitem(sys.modules, "clip", module)
    monkeypatch.delitem(sys.modules, "ultralytics.nn.text_model", raising=False)
