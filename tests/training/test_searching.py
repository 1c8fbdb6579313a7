"""A search in this process, with Optuna as it is. Only the epochs are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError, GateError
from detect_tl.core.files import read_json, write_json
from detect_tl.core.progress import Silent
from detect_tl.training.searching import search_here
from detect_tl.training.trials import Rungs, Search, TrialRecord
from detect_tl.transfer.space import Choice, Space
from tests.training.fake_trials import Training, search_in, training  # noqa: F401  # a fixture


def run(search: Search) -> list[TrialRecord]:
    """What the trials came to, without the time, which is never the same."""
    told: list[TrialRecord] = []
    search_here(search, Silent(), told.append)
    records = search.records()
    assert [each for each in records if each in told] == told
    return records


def outcome(records: list[TrialRecord]) -> list[object]:
    return [(r.number, r.settings, r.values, r.seconds, r.ending) for r in records]


@pytest.mark.parametrize(
    ("epochs", "first", "expected"),
    [
        (1, None, []),
        (2, None, [1]),
        (9, None, [1, 3]),
        (10, None, [2, 6]),
        (50, None, [6, 18]),
        (100, None, [12, 36]),
        (9, 4, [4]),
        (9, 9, []),
        (30, 1, [1, 3, 9, 27]),
    ],
)
def test_rungs(epochs: int, first: int | None, expected: list[int]) -> None:
    assert list(Rungs.of(epochs, first)) == expected


def test_what_falls_behind_is_stopped_at_a_rung(training: Training, tmp_path: Path) -> None:  # noqa: F811
    search = search_in(tmp_path, trials=15)
    records = run(search)
    assert [each.number for each in records] == list(range(15))
    assert records[0].settings == {}
    assert (records[0].ending, records[0].epochs) == ("complete", 9)  # nobody was there to beat
    stopped = [each for each in records if each.ending == "stopped"]
    assert stopped
    assert {each.epochs for each in stopped} <= set(search.rungs)
    assert {each.epochs for each in records if each.ending == "complete"} == {9}
    for each in stopped:  # another was better where it was stopped
        rung = each.epochs - 1
        others = [r.values[rung] for r in records[: each.number] if r.epochs > rung]
        assert max(others) > each.values[rung]
    assert len(training.epochs) < 15 * 9 / 2


def test_the_same_seed_tries_the_same(training: Training, tmp_path: Path) -> None:  # noqa: F811
    first, second = (run(search_in(tmp_path / name, seed=3)) for name in ("a", "b"))
    assert outcome(first) == outcome(second)
    other = run(search_in(tmp_path / "c", seed=4))
    assert [each.settings for each in other[1:]] != [each.settings for each in first[1:]]


@pytest.mark.parametrize("left", [0, 4, 9, 10, 12, 17, 25])
def test_what_is_interrupted_goes_on_to_the_same_end(
    training: Training,  # noqa: F811
    tmp_path: Path,
    left: int,
) -> None:
    whole = run(search_in(tmp_path / "whole"))
    uninterrupted, training.epochs = training.epochs, []
    training.left = left
    with pytest.raises(KeyboardInterrupt):
        run(search_in(tmp_path / "cut"))
    training.left = None
    assert outcome(run(search_in(tmp_path / "cut"))) == outcome(whole)
    assert training.epochs == uninterrupted  # no epoch was trained twice


@pytest.mark.parametrize("gone", ["record", "record and state"])
def test_a_kill_between_the_last_epoch_and_its_record(
    training: Training,  # noqa: F811
    tmp_path: Path,
    gone: str,
) -> None:
    """The kill comes when a trial was stopped, before anything says so."""
    whole = run(search_in(tmp_path))
    last = next(each for each in reversed(whole) if each.ending == "stopped")
    for each in whole[last.number :]:
        folder = search_in(tmp_path).run(each.number)
        folder.trial.unlink()
        if each.number > last.number:
            folder.metrics.unlink()
            folder.path.rename(tmp_path / f"gone-{each.number}")
    if gone == "record and state":
        search_in(tmp_path).run(last.number).resume_state.touch()
    trained = len(training.epochs)
    assert outcome(run(search_in(tmp_path))) == outcome(whole)
    again = [number for number, _ in training.epochs[trained:]]
    assert last.number not in again


def test_more_trials_add_to_those_that_are_there(training: Training, tmp_path: Path) -> None:  # noqa: F811
    few = run(search_in(tmp_path / "a", trials=5))
    more = run(search_in(tmp_path / "a", trials=9))
    assert outcome(more[:5]) == outcome(few)
    assert outcome(more) == outcome(run(search_in(tmp_path / "b", trials=9)))


def test_nothing_is_tried_twice(training: Training, tmp_path: Path) -> None:  # noqa: F811
    space = Space({"strategy": Choice(("full", "gradual", "lp-ft"))})
    records = run(search_in(tmp_path, space=space))
    tried = [str(each.settings.get("strategy")) for each in records]
    assert sorted(tried) == ["None", "full", "gradual", "lp-ft"]


def test_a_trial_that_fails_is_told_and_the_others_go_on(
    training: Training,  # noqa: F811
    tmp_path: Path,
) -> None:
    training.fails = {2, 3}
    records = run(search_in(tmp_path, trials=5))
    assert [each.ending == "failed" for each in records] == [False, False, True, True, False]
    assert records[2].best is None
    assert "no longer a number" in records[2].why
    assert outcome(run(search_in(tmp_path, trials=5))) == outcome(records)


def test_a_default_that_fails_is_an_error(training: Training, tmp_path: Path) -> None:  # noqa: F811
    training.fails = {0}
    with pytest.raises(GateError, match="no longer a number"):
        run(search_in(tmp_path))


def test_no_trial_begins_when_the_time_is_over(training: Training, tmp_path: Path) -> None:  # noqa: F811
    from dataclasses import replace

    search = replace(search_in(tmp_path), minutes=1e-9)
    assert [each.number for each in run(search)] == [0]
    # the 90 seconds of the first trial are counted, though another process took them
    assert [each.number for each in run(replace(search, minutes=1.4))] == [0]
    assert len(run(replace(search, minutes=60))) == 12


def test_trials_of_another_search_are_refused(training: Training, tmp_path: Path) -> None:  # noqa: F811
    run(search_in(tmp_path, trials=3))
    path = search_in(tmp_path).run(1).trial
    write_json(path, {**read_json(path), "settings": {"lr": 0.5}})
    with pytest.raises(DataError, match=r"holds a trial of lr 0\.5") as refused:
        run(search_in(tmp_path, trials=3))
    assert "--out" in refused.value.hint
    write_json(path, {"trial": 1})
    with pytest.raises(DataError, match="is not what a trial leaves"):
        run(search_in(tmp_path, trials=3))
