"""A training as the command line that asks for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig

FLAGS = {"from_format": "from", "same": "map"}
"""Options that are not called like their setting, without dashes in front."""


def train_command(config: TrainConfig) -> str:
    """`detect-tl train …` with every setting that is not the default, as a shell reads it."""
    return shlex.join(["detect-tl", "train", str(config.data), *_options(config)])


def _options(config: TrainConfig) -> Iterator[str]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name == "data" or value == field.default:
            continue
        flag = f"--{FLAGS.get(name, name.replace('_', '-'))}"
        if isinstance(value, bool):
            yield flag if value else f"--no-{name}"
        elif name == "also":
            for each in value:
                yield from (flag, str(each))
        else:
            yield from (flag, _text(value))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={other}" for key, other in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
