"""What the options of all commands share: where values come from, and the ones everywhere.

A value is taken from the command line, else from the environment (`DETECT_TL_TRAIN_EPOCHS` for
one command, `DETECT_TL_EPOCHS` for all), else from the YAML file of `--config`, else the default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from detect_tl.cli.output import Output
from detect_tl.cli.params import COLUMNS, IMGSZ, SPLIT, CommaList
from detect_tl.cli.settings import config_values, refuse_unknown_variables, variables_of
from detect_tl.core.errors import UsageError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class Command(click.Command):
    """A command with the shared options, examples in its help, and an `Output` in its context."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = inspect.cleandoc(examples)
        self.params.extend(_shared())

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.envvar is None:
                parameter.envvar = variables_of(parameter, _words(info_name, parent))
        refuse_unknown_variables(self, _words(info_name, parent))
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj = Output(json=ctx.params.pop("json"), quiet=ctx.params.pop("quiet"))
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"{' ' * formatter.current_indent}{line}\n")
        super().format_epilog(ctx, formatter)


class CommandGroup(click.Group):
    """A group whose unknown commands end in a suggestion."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known:
            hint = did_you_mean(args[0], known)
            raise UsageError(f"{ctx.command_path} has no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)


def verb(name: str, examples: str, **settings: Any) -> Callable[[Callable[..., None]], Command]:
    """Make a `Command`; `examples` are lines of shell as a user types them."""
    return click.command(name, cls=Command, examples=examples, **settings)


def _words(name: str | None, parent: click.Context | None) -> str:
    """The command as its variables spell it: "TRAIN", "WEIGHTS_FETCH"."""
    words = [name or ""]
    while parent is not None and parent.parent is not None:
        words.insert(0, parent.info_name or "")
        parent = parent.parent
    return "_".join(words).upper()


def _read_config(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    del parameter
    if value is not None:
        ctx.default_map = config_values(value, ctx.command.params)


def _shared() -> list[click.Parameter]:
    """Fresh copies: a parameter belongs to one command."""
    return [
        click.Option(
            ["--config"],
            type=PATH,
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_read_config,
            help="YAML file with values for these options.",
        ),
        click.Option(["--json"], is_flag=True, help="Print one JSON document to stdout."),
        click.Option(["-q", "--quiet"], is_flag=True, help="No progress bars and no notes."),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error."
        ),
    ]


def reading_options(function: F) -> F:
    """How DATA is read; the function gets the fields of `ReadOptions`."""
    for option in (
        click.option(
            "--follow-links",
            is_flag=True,
            help="Read also what lies behind links that lead out of the folder.",
        ),
        click.option(
            "--columns",
            type=COLUMNS,
            help="What the columns of a CSV file hold, such as image=file,label=species.",
        ),
        click.option(
            "--annotations",
            metavar="GLOB",
            help="Read only annotation files called like this.  [default: all]",
        ),
        click.option(
            "--from",
            "from_format",
            metavar="FORMAT",
            help="Annotation format, see `detect-tl formats`.  [default: recognised]",
        ),
    ):
        function = option(function)
    return function


def measuring_options(function: F) -> F:
    """What is measured, and how often it is drawn again: `split`, `resamples` and `seed`."""
    for option in (
        click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap."),
        click.option(
            "--resamples",
            type=click.IntRange(min=0),
            default=1000,
            show_default=True,
            help="Of the bootstrap behind the intervals; of very many detections fewer are drawn.",
        ),
        click.option(
            "--split",
            type=click.Choice(["train", "val", "test", "all"]),
            help="Part of the data; without splits, the whole.  [default: val, or the only one]",
        ),
    ):
        function = option(function)
    return function


def writing_options(function: F) -> F:
    """How a dataset folder is written; the function gets `to`, `link` and `task`."""
    for option in (
        click.option(
            "--task",
            type=click.Choice(["auto", "detect", "segment"]),
            default="auto",
            show_default=True,
            help="Write boxes or polygons for YOLO; auto: polygons when there are masks.",
        ),
        click.option(
            "--link",
            type=click.Choice(["copy", "hard", "soft"]),
            default="copy",
            show_default=True,
            help="Copy the images, or link to them.",
        ),
        click.option(
            "--to",
            type=CommaList("FORMATS"),
            default="yolo,coco",
            show_default=True,
            help="Formats to write, with commas between them.",
        ),
    ):
        function = option(function)
    return function


def seed_option(function: F) -> F:
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of all that is random.",
    )(function)


def group_option(function: F) -> F:
    return click.option(
        "--group-by",
        metavar="folder|video|PATTERN",
        help="Keep images together: of a folder, of a video (names that differ in the number "
        "only), or for which an expression finds the same in the path.",
    )(function)


def split_option(function: F) -> F:
    return click.option(
        "--split",
        type=SPLIT,
        help="Shares of the splits.  [default: the source's own splits, else 0.8,0.1,0.1]",
    )(function)


def trust_option(function: F) -> F:
    return click.option(
        "--trust",
        is_flag=True,
        help="Load a checkpoint even if it may run code or its checksum is not known.",
    )(function)


def zero_shot_options(function: F) -> F:
    """Names to find; the function gets `zero_shot` and `open_weights`."""
    for option in (
        click.option(
            "--open-weights",
            metavar="NAME|FILE",
            help="YOLOE or YOLO-World for names that no class of MODEL covers.  "
            "[default: the first official one on this machine]",
        ),
        click.option(
            "--zero-shot",
            type=CommaList("NAMES"),
            default=(),
            help="Names to find in place of the model's classes: what those cover by name, synonym "
            "or parent, and the rest by an open-vocabulary model.",
        ),
    ):
        function = option(function)
    return function


def imgsz_option(function: F) -> F:
    return click.option(
        "--imgsz",
        type=IMGSZ,
        help="Side of the input in pixels, or HEIGHTxWIDTH.  [default: the model's own]",
    )(function)


def device_option(function: F) -> F:
    return click.option(
        "--device",
        default="",
        help="cpu, mps, cuda, or a CUDA number.  [default: the best there is]",
    )(function)


def engine_options(function: F) -> F:
    """Where the work is done; the function gets `engine` and `address`, which goes with ray."""
    for option in (
        click.option(
            "--address",
            metavar="ADDRESS",
            callback=_address_of_ray,
            help="With --engine ray, the cluster: auto for the one that this machine is part of, "
            "HOST:PORT, or ray://HOST:PORT.  [default: a Ray of this machine alone]",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            is_eager=True,
            help="Where the work is done: in this process, or on all nodes of a Ray cluster.",
        ),
    ):
        function = option(function)
    return function


def _address_of_ray(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value and ctx.params.get("engine") != "ray":
        raise click.BadParameter("it goes with --engine ray", ctx, parameter)
    return value or None
