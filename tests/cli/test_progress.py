"""What a person sees of long work, on a terminal and in a log."""

from __future__ import annotations

import io
import sys

import pytest

from detect_tl.cli import progress
from detect_tl.cli.output import Output, Table, _drawn
from detect_tl.cli.progress import Bars, Lines, progress_on_stderr
from detect_tl.core.progress import Silent, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_say_what_begins_and_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    assert list(track(Lines(), "abcd", "Reading")) == list("abcd")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Reading … (4)"
    assert any("%" in line and "left" in line for line in said[1:-1])
    assert said[-1].startswith("Reading: done in ")


def test_short_steps_take_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines().step("Writing"):
        pass
    assert capsys.readouterr().err == "Writing …\n"


def test_a_step_without_a_length_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with Lines().step("Frames") as bar:
        bar.advance(3)
        bar.describe("Frames of camera 0")
        bar.advance(2)
    said = capsys.readouterr().err.splitlines()
    assert said[1].startswith("Frames: 3 in ")
    assert said[2].startswith("Frames of camera 0: 5 in ")


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    shown = progress_on_stderr()
    assert isinstance(shown, Bars)
    with shown.step("train [1/2]", 2) as outer:
        shown.say("weights: [bold]here[/bold]")  # what is said is not markup
        with shown.step("no length") as inner:
            inner.advance(5)
        outer.describe("train [2/2]")
        outer.advance(2)
    shown.say("afterwards")
    said = screen.getvalue()
    for words in ("train [2/2]", "weights: [bold]here[/bold]", "no length", "2/2", "afterwards"):
        assert words in said


def test_an_error_closes_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    shown = Bars()
    with pytest.raises(KeyError), shown.step("train", 2):
        raise KeyError
    assert shown._live is None


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress_on_stderr(), Lines)


def test_quiet_shows_nothing() -> None:
    assert isinstance(Output(quiet=True).progress, Silent)


def test_a_table_in_a_pipe_keeps_long_cells_whole() -> None:
    path = "/a/very/long/path" * 20
    drawn = _drawn(Table(("name", "file"), [("[one]", path), ("two", "-")], right=("file",)))
    lines = drawn.splitlines()
    assert path in lines[2]
    assert "[one]" in lines[2]
    assert lines[3].endswith("-")
