"""Open-vocabulary models (YOLOE, YOLO-World): told names, they are detectors like any other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from detect_tl.core.errors import WeightsError
from detect_tl.core.files import atomic_path
from detect_tl.models.checkpoint import OPEN_TASKS, TOLD, Checkpoint, load_checkpoint
from detect_tl.models.yolo import ImagePoolingAttn, WorldModel, load_text_encoder, quiet
from detect_tl.transfer.encoders import ENCODERS, TOKENIZER, TOKENIZER_SOURCE, TextEncoder


def load_open_vocabulary(path: Path, *, trust: bool = False) -> Checkpoint:
    """Load a YOLOE or YOLO-World checkpoint that has not been told any names.

    Raises WeightsError as `load_checkpoint` does, and for a model of any other kind.
    """
    checkpoint = load_checkpoint(path, trust=trust, untold=True)
    if type(checkpoint.model) not in OPEN_TASKS:
        raise WeightsError(
            "knows its own classes only, and cannot be told names",
            path=path,
            hint="Name a YOLOE or YOLO-World checkpoint, for example yoloe-11s-seg.pt.",
        )
    if any(isinstance(module, ImagePoolingAttn) for module in checkpoint.model.modules()):
        raise WeightsError(
            "is a YOLO-World of the first version, which cannot be exported for any size",
            path=path,
            hint="Take one of the second version, for example yolov8s-worldv2.pt.",
        )
    layers: Any = list(checkpoint.model.children())[-1]
    if hasattr(layers[-1], "lrpc"):
        raise WeightsError(
            "is a prompt-free model, which cannot be told names",
            path=path,
            hint="Take the file without -pf in its name.",
        )
    return checkpoint


def encoder_for(checkpoint: Checkpoint) -> TextEncoder:
    """The text encoder that a model was trained with."""
    model: Any = checkpoint.model
    if isinstance(model, WorldModel):
        return ENCODERS["clip"]
    kind = str(getattr(model, "text_model", "mobileclip:blt")).partition(":")[0]
    if kind not in ENCODERS:
        raise WeightsError(
            f"was trained with the text encoder {kind!r}, which is unknown here",
            path=checkpoint.path,
            hint=f"Known: {', '.join(ENCODERS)}. Take another checkpoint.",
        )
    return ENCODERS[kind]


def tell_names(
    checkpoint: Checkpoint, names: Sequence[str], encoder: TextEncoder, file: Path, out: Path
) -> None:
    """Write a checkpoint of a model that finds exactly these names.

    encoder, file: what turns the names into what the model looks for.

    Raises WeightsError for an encoder that cannot be loaded, or one without its package.
    """
    model: Any = checkpoint.model
    with quiet(), torch.inference_mode(mode=False), torch.no_grad():
        model.clip_model = _loaded(encoder.kind, file)
        if isinstance(model, WorldModel):
            model.set_classes(list(names), cache_clip_model=True)
            model.txt_feats = model.txt_feats.clone()
        else:
            told = model.get_text_pe(list(names), cache_clip_model=True)
            model.set_classes(list(names), told.clone())
    model.clip_model = None
    model.names = dict(enumerate(names))
    content = {"model": model, "train_args": dict(checkpoint.train_args), TOLD: list(names)}
    with atomic_path(out) as scratch:
        torch.save(content, scratch)


def _loaded(kind: str, file: Path) -> Any:
    if find_spec(TOKENIZER) is None:
        raise WeightsError(
            f"the package {TOKENIZER!r} is missing, which cuts names into tokens",
            hint=f"Install it: pip install {TOKENIZER_SOURCE}",
        )
    try:
        return load_text_encoder(kind, file)
    except (RuntimeError, ValueError, EOFError, OSError, AttributeError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"cannot be read as a text encoder: {first}", path=file, hint="Download it again."
        ) from error
