"""Options made from settings that are declared elsewhere, with their defaults and meaning."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any

import click

from detect_tl.cli.options import Command


def explained(text: str, default: object) -> str:
    """The meaning of a setting, with what it says of the default in brackets, as click writes it.

    text: what stands behind "; None: " or "; empty: " is said in place of such a default.
    """
    text, _, unset = text.partition("; None: ")
    if not unset:
        text, _, unset = text.partition("; empty: ")
    if text.partition(" ")[0].isalpha():
        text = text[0].upper() + text[1:]
    shown = unset or (default if not isinstance(default, bool) else "")
    if default is True:
        shown = "on"
    return f"{text}.  [default: {shown}]" if shown not in ("", None, ()) else f"{text}."


def dataclass_options(
    config: type[Any],
    special: Mapping[str, Mapping[str, Any]],
    *,
    only: Collection[str] | None = None,
) -> Iterator[click.Option]:
    """The settings of `runtime.config` as options.

    special: by name, what click is to be told of a setting, besides its default and its help.
    """
    for each in fields(config):
        if only is None or each.name in only:
            yield _option(each, special.get(each.name, {}))


def _option(setting: Field[Any], special: Mapping[str, Any]) -> click.Option:
    default, declared = setting.default, setting.metadata
    told: dict[str, Any] = {
        "param_decls": [f"--{setting.name.replace('_', '-')}", setting.name],
        "type": _kind(default, declared["least"], declared["most"]),
        "is_flag": isinstance(default, bool),
        "default": default,
        "help": explained(declared["text"], default),
    }
    return click.Option(**{**told, **special})


def _kind(default: object, least: float | None, most: float | None) -> Any:
    if isinstance(default, bool | str):
        return type(default)
    whole = isinstance(default, int) or default is None
    if least is not None:
        return click.IntRange(int(least)) if whole else click.FloatRange(least, most)
    return type(default) if isinstance(default, float | int) else None


def put_options(target: Command, options: Sequence[click.Option], *, before: str) -> None:
    """Give a command more options, in front of its own one of this name."""
    place = next(k for k, parameter in enumerate(target.params) if parameter.name == before)
    target.params[place:place] = options
