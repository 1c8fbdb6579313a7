"""How an error is shown, and which exit code it gives."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from detect_tl.core.errors import DataError, DetectTLError, MachineError, UsageError, did_you_mean

INTERRUPTED = 130

_SHARED = ("--json", "-q", "--quiet", "--debug", "--config")


class InterruptedByUserError(DetectTLError):
    """Ctrl-C, with a hint on how to go on."""

    exit_code = INTERRUPTED


@contextmanager
def resumable(begun: Path, hint: str, *, what: str = "the training") -> Iterator[None]:
    """Say how to go on when Ctrl-C ends long work, such as a training.

    begun: a file that is there from the moment on when there is something to go on with.
    """
    try:
        yield
    except (KeyboardInterrupt, click.Abort) as error:
        if begun.is_file():
            raise InterruptedByUserError("interrupted", hint=hint) from error
        raise InterruptedByUserError(
            f"interrupted before {what} began; there is nothing to go on with"
        ) from error


def exit_code_of(error: BaseException) -> int:
    return explain(error).exit_code


def show_error(error: BaseException, *, as_json: bool) -> None:
    """Print one sentence and a hint to stderr, or one JSON document to stdout."""
    known = explain(error)
    if as_json:
        from detect_tl.cli.output import print_json

        print_json(
            {
                "error": {
                    "message": known.message,
                    "hint": known.hint,
                    "path": str(known.path) if known.path else None,
                    "line": known.line,
                    "exit_code": known.exit_code,
                }
            }
        )
        return
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {known}", err=True)
    if known.hint:
        click.echo(known.hint, err=True)


def explain(error: BaseException) -> DetectTLError:
    """Any error as one of ours; what nobody foresaw becomes a plain one that asks for a report."""
    if isinstance(error, DetectTLError):
        return error
    if isinstance(error, click.ClickException):
        return _from_click(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return InterruptedByUserError("interrupted")
    if _is_out_of_memory(error):
        return MachineError(
            "out of memory", hint="Try a smaller --batch or --imgsz, or close other programs."
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _from_os(error)
    return DetectTLError(
        f"unexpected {type(error).__name__}: {error}",
        hint="This is a mistake in detect-tl. Run the command again with --debug and report it.",
    )


def _from_click(error: click.ClickException) -> DetectTLError:
    """A usage error with the name of the command, and a suggestion where there is a near one."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "detect-tl"
    hint = f"See `{path} --help`."
    if isinstance(error, click.NoSuchOption):
        hint = _nearest_option(error, context) or hint
        return UsageError(f"{path} has no option {error.option_name}", hint=hint)
    text = error.format_message().strip().rstrip(".")
    return UsageError(text[:1].lower() + text[1:] if text else "wrong usage", hint=hint)


def _nearest_option(error: click.NoSuchOption, context: click.Context | None) -> str:
    if context is None:
        return ""
    if isinstance(context.command, click.Group) and error.option_name in _SHARED:
        return f"It comes after the command: {context.command_path} COMMAND {error.option_name}"
    known = [
        name
        for parameter in context.command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    ]
    near = did_you_mean(error.option_name, known)
    return near if near.startswith("Did") else ""


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own, or what torch and ONNX Runtime raise, without importing either."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "allocate memory" in text or "bad alloc" in text)
    )


def _from_os(error: OSError) -> DetectTLError:
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MachineError(
            f"the disk is full ({what})", hint="Free some space, or write to another disk."
        )
    if error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR):
        return DataError(what, hint="Check the path.")
    return MachineError(what, hint="Check the path and its permissions.")
