"""The frame around the commands: help, version, loading, suggestions, JSON, pipes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import click
import pytest

from detect_tl import __version__
from detect_tl.cli.app import COMMANDS, App, app
from detect_tl.cli.options import Command
from tests.cli.conftest import Run, process, refused

HEAVY = (
    "torch", "torchvision", "ultralytics", "cv2", "numpy", "PIL", "matplotlib", "av", "onnxruntime",
    "pydantic", "rich", "yaml", "supervision", "ray", "pyarrow", "fsspec",
    "optuna",
)  # fmt: skip

LOADED = """
import sys
from detect_tl.cli.app import app
try:
    app.main(sys.argv[1:])
except SystemExit:
    pass
print(*sorted(set(sys.modules)), file=sys.stderr)
"""


def leaves() -> list[tuple[str, Command]]:
    """All commands, those of groups included, with their full names."""
    found: list[tuple[str, Command]] = []
    for name in COMMANDS:
        one = app.get_command(click.Context(app), name)
        if isinstance(one, click.Group):
            parts = ((f"{name} {part}", inner) for part, inner in one.commands.items())
            found += [(full, inner) for full, inner in parts if isinstance(inner, Command)]
        elif isinstance(one, Command):
            found.append((name, one))
    return found


LEAVES = leaves()


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option: str) -> None:
    done = process([option], code=LOADED)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("name", [name for name, _ in LEAVES])
def test_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    done = process([*name.split(), "--help"], code=LOADED)
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    assert "click" in loaded
    # The options of a training are the fields of its settings, which pydantic checks.
    allowed = {"pydantic"} if name in ("benefit", "oneshot", "train", "tune", "resume") else set()
    assert loaded.isdisjoint(set(HEAVY) - allowed)


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"detect-tl {__version__}\n")


def test_runs_as_a_module() -> None:
    done = process(["--version"])
    assert (done.returncode, done.stdout) == (0, f"detect-tl {__version__}\n")


def test_every_verb_is_a_command() -> None:
    assert {name.partition(" ")[0] for name, _ in LEAVES} == set(COMMANDS)
    parts = {name for name, _ in LEAVES if name.startswith("weights")}
    names = ("list", "info", "fetch", "path", "rank")
    assert parts == {f"weights {name}" for name in names}


@pytest.mark.parametrize(("name", "command"), LEAVES)
def test_help_shows_description_examples_and_shared_options(
    run: Run, name: str, command: Command
) -> None:
    result = run(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"detect-tl {name}" in result.output
    for option in ("--json", "--quiet", "--debug", "--config", "--help"):
        assert option in result.output
    undescribed = [
        parameter.opts
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert undescribed == []


@pytest.mark.parametrize(
    "line", [line for _, command in LEAVES for line in command.examples.splitlines()]
)
def test_examples_can_be_parsed(line: str, tmp_path: object) -> None:
    """Every command and option of the examples exists, and takes such a value."""
    words = shlex.split(line.partition(" > ")[0])
    assert words[0] == "detect-tl"
    context = app.make_context("detect-tl", words[1:])
    current: click.Command = app
    while isinstance(current, click.Group):
        left = [*context._protected_args, *context.args]
        if "--config" in left:
            place = left.index("--config")
            del left[place : place + 2]
        name, found, rest = current.resolve_command(context, left)
        assert found is not None
        context = found.make_context(name, rest, parent=context)
        current = found


def test_the_list_of_commands_agrees_with_them() -> None:
    for name, words in COMMANDS.items():
        command = app.get_command(click.Context(app), name)
        assert command is not None
        assert command.name == name
        assert words.endswith(".")
        first = (command.help or "").splitlines()[0].rstrip(".,:")
        assert first.startswith(words.rstrip(".").partition(",")[0].partition(":")[0])


def test_unknown_command_gets_a_suggestion(run: Run) -> None:
    refused(run("convrt"), 2, "convrt", "convert")
    refused(run("weights", "fetsh", "yolo11n"), 2, "fetsh", "fetch")


def test_unknown_option_gets_a_suggestion(run: Run) -> None:
    refused(run("train", "x", "--epoch", "3"), 2, "--epoch", "Did you mean '--epochs'?")
    refused(run("-q", "formats"), 2, "-q", "after the command")
    refused(run("--quiet", "formats"), 2, "--quiet", "after the command")
    refused(run("formats", "--nothing-like-it"), 2, "--help")


def test_missing_argument_names_it(run: Run) -> None:
    refused(run("convert", "here"), 2, "DESTINATION")


def test_wrong_value_names_the_option(run: Run) -> None:
    refused(run("convert", "a", "b", "--link", "magic"), 2, "--link", "magic")
    refused(run("convert", "a", "b", "--split", "0.5,0.9"), 2, "--split", "1.4")
    refused(run("export", "yolo11n", "--imgsz", "100"), 2, "--imgsz", "100")


def test_all_wrong_settings_of_a_training_are_named_at_once(run: Run) -> None:
    told = refused_sentence(run("train", "x", "--epochs", "-1", "--imgsz", "100", "--lr", "-1"))
    assert all(word in told for word in ("epochs", "imgsz", "lr"))


def refused_sentence(result: object) -> str:
    assert isinstance(getattr(result, "stderr", None), str)
    return str(result.stderr)  # type: ignore[attr-defined]


def test_json_is_one_document_on_stdout(run: Run) -> None:
    result = run("formats", "--json")
    assert result.exit_code == 0
    names = [item["name"] for item in json.loads(result.stdout)["formats"]]
    assert names == sorted(names)
    assert {"coco", "labelme", "voc", "yolo"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["check", "nowhere", "--json"], 3),
        (["convert", "--json", "nowhere"], 2),
        (["weights", "info", "yolo11", "--json"], 4),
        (["formats", "--jsn", "--json"], 2),
    ],
)
def test_an_error_is_a_json_document_too(run: Run, arguments: list[str], exit_code: int) -> None:
    result = run(*arguments)
    assert result.exit_code == exit_code
    error = json.loads(result.stdout)["error"]
    assert set(error) == {"message", "hint", "path", "line", "exit_code"}
    assert error["exit_code"] == exit_code
    assert error["message"]
    assert "Error:" not in result.stderr


def test_debug_shows_the_traceback() -> None:
    done = process(["check", "nowhere", "--debug"])
    assert "Traceback" in done.stderr
    assert "Traceback" not in process(["check", "nowhere"]).stderr


def test_a_closed_pipe_ends_without_a_word() -> None:
    arguments = [sys.executable, "-m", "detect_tl", "weights", "list"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        said = child.stderr.read()
        child.wait(timeout=60)
    assert (child.returncode, said) == (1, b"")  # as click has it


def test_a_bug_is_told_as_such(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("boxes")

    monkeypatch.setattr("detect_tl.api.formats", broken)
    result = run("formats")
    assert result.exit_code == 1
    assert "unexpected KeyError" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_suggests_a_smaller_batch(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_args: object, **_settings: object) -> None:
        raise error

    monkeypatch.setattr("detect_tl.api.train", full)
    refused(run("train", "pictures"), 5, "out of memory", "--batch")


def test_the_group_can_be_used_as_a_library() -> None:
    assert isinstance(app, App)
    with pytest.raises(click.UsageError):
        app.main(["formats", "--no"], standalone_mode=False)
