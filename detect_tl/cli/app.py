"""The group of commands, each loaded when it is asked for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from detect_tl import __version__
from detect_tl.cli.errors import exit_code_of, show_error
from detect_tl.core.errors import UsageError, did_you_mean

# name -> what `--help` says of it; the module `detect_tl.cli.<name>` holds the command. It is
# written down here so that listing the commands imports none of them.
COMMANDS: Mapping[str, str] = {
    "quickstart": "Run the whole line on the embedded sample.",
    "formats": "List the annotation formats that are understood.",
    "convert": "Turn annotations into a dataset folder.",
    "check": "Look for mistakes in annotations.",
    "repair": "Mend what has one right answer, and list what has not.",
    "split": "Divide a data set anew.",
    "stats": "Count images and objects, and measure them.",
    "show": "Draw boxes and masks on pictures.",
    "merge": "Make several data sets one.",
    "filter": "Keep a part of a data set.",
    "augment": "See what augmentations do to pictures.",
    "weights": "Find, fetch and describe pretrained weights.",
    "train": "Train a detector from annotations.",
    "resume": "Continue a run that was interrupted.",
    "rerun": "Repeat a run, and say whether the result is the same.",
    "oneshot": "Detect from a handful of examples, without training.",
    "adapt": "Fit a model to pictures of another camera, without labels.",
    "benefit": "Measure what transfer gains over training from scratch.",
    "tune": "Look for settings that suit your data better than the default.",
    "eval": "Measure how good a model is, how sure that is, and where it fails.",
    "compare": "Say which of several models is better.",
    "export": "Write a model as ONNX, proved to answer alike.",
    "label": "Write what a model finds as annotations to be corrected.",
    "predict": "Detect on images, videos, cameras and streams.",
    "benchmark": "Time the engines of this machine on a model.",
    "serve": "Serve a page and an HTTP API that detect, until Ctrl-C.",
    "doctor": "Check this machine and its installation.",
}


class App(click.Group):
    """Loads a command when it is run, and is the one place where errors become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"detect_tl.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            hint = did_you_mean(args[0], COMMANDS)
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run; print errors for people, or as JSON, and exit with the code of their kind."""
        given = list(sys.argv[1:] if args is None else args)

        def call() -> Any:
            name = prog_name or "detect-tl"
            return super(App, self).main(given, name, complete_var, standalone_mode=False, **extra)

        if not standalone_mode:
            return call()
        sys.exit(_run(call, given))


def _run(call: Callable[[], Any], args: Sequence[str]) -> int:
    """Call, and return the exit code; `args` say how an error is to be shown."""
    options = args[: args.index("--")] if "--" in args else args
    try:
        code = call()
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in options:
            raise
        show_error(error, as_json="--json" in options)
        return exit_code_of(error)
    return code if isinstance(code, int) else 0


@click.group(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`detect-tl COMMAND --help` explains a command, with examples.",
)
@click.version_option(__version__, "-V", "--version", message="detect-tl %(version)s")
def app() -> None:
    """From the annotations you have to a detector that runs live.

    Reads annotations of nearly every tool (see `detect-tl formats`), starts from pretrained YOLO
    weights, keeps the backbone frozen, trains the rest on your categories, and exports an ONNX
    file that has proved to answer like the model that was trained.
    """


def main() -> None:
    """Entry point of the `detect-tl` script."""
    if not sys.warnoptions and "--debug" not in sys.argv:
        warnings.simplefilter("ignore")  # what libraries tell developers is not for users
    app.main()
