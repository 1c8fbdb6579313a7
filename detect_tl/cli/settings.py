"""Values of options from a YAML file and from the environment; unknown names are errors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl.core.errors import DataError, UsageError, did_you_mean
from detect_tl.core.yaml_files import read_yaml

_PREFIX = "DETECT_TL_"

# Variables that are no options: where weights come from, and the data of the tests. `--weights`
# therefore has no variable for all commands, only one for each.
_OTHERS = frozenset(
    {"DETECT_TL_WEIGHTS", "DETECT_TL_WEIGHTS_URL", "DETECT_TL_OFFLINE", "DETECT_TL_SHARED"}
)

_NEVER_FROM_A_FILE = frozenset({"config", "debug", "help"})


def option_name(parameter: click.Parameter) -> str:
    """The name a user types, without dashes in front: "from" rather than "from_format"."""
    longest = max(parameter.opts, key=len)
    return longest.lstrip("-").replace("-", "_")


def config_values(path: Path, parameters: Iterable[click.Parameter]) -> dict[str, Any]:
    """Read a YAML (or JSON) file into values by parameter name.

    Raises UsageError for a file that cannot be read, and for a name that is no option.
    """
    given = _mapping(path)
    targets: dict[str, str] = {}
    several: set[str] = set()
    for parameter in parameters:
        if parameter.name and parameter.name not in _NEVER_FROM_A_FILE:
            targets[parameter.name] = targets[option_name(parameter)] = parameter.name
            if parameter.nargs == -1 or parameter.multiple:
                several.add(parameter.name)
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = str(key).replace("-", "_")
        if name not in targets:
            raise UsageError(
                f"unknown setting {key!r}", path=path, hint=did_you_mean(name, sorted(targets))
            )
        one_of_several = targets[name] in several and isinstance(value, str)
        values[targets[name]] = [value] if one_of_several else value
    return values


def _mapping(path: Path) -> dict[Any, Any]:
    try:
        given = read_yaml(path)
    except DataError as error:  # what a user says of a command, and no data
        raise UsageError(
            f"the settings: {error.message}", path=path, line=error.line, hint=error.hint
        ) from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise UsageError(
            "the settings must be names with values", path=path, hint="For example: epochs: 10"
        )
    return given


def variables_of(option: click.Option, command: str) -> list[str]:
    """Names of the variables that give an option its value, the most specific first."""
    name = option_name(option).upper()
    names = (f"{_PREFIX}{command}_{name}", f"{_PREFIX}{name}")
    return [variable for variable in names if variable not in _OTHERS]


def refuse_unknown_variables(command: click.Command, words: str) -> None:
    """Raise UsageError for a `DETECT_TL_*` variable that no option of any command reads."""
    given = {name for name in os.environ if name.startswith(_PREFIX)} - _OTHERS
    left = sorted(given - set(_variables(command, words)))
    if not left:
        return
    known = {name for each, its_words in _all_commands() for name in _variables(each, its_words)}
    for name in left:
        if name not in known:
            near = sorted({*known, *_OTHERS})
            raise UsageError(f"unknown variable {name}", hint=did_you_mean(name, near))


def _variables(command: click.Command, words: str) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield from variables_of(parameter, words)


def _all_commands() -> Iterator[tuple[click.Command, str]]:
    """Every command with its name as variables spell it; imports them all."""
    from detect_tl.cli.app import app

    context = click.Context(app)
    for name in app.list_commands(context):
        found = app.get_command(context, name)
        if isinstance(found, click.Group):
            for part, inner in found.commands.items():
                yield inner, f"{name}_{part}".upper()
        elif found is not None:
            yield found, name.upper()
