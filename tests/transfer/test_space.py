"""The space of a search: whatever is drawn from it can be trained, and what is no space is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, strategies as st

from detect_tl.core.errors import UsageError
from detect_tl.training.config import TrainConfig
from detect_tl.transfer.space import (
    SEARCHABLE,
    Choice,
    Range,
    Space,
    read_space,
    space_from_json,
    usual_space,
)
from detect_tl.transfer.strategies import load_strategy

STRATEGIES = ["auto", "freeze", "full", "gradual", "head", "lp-ft", "partial", "scratch"]

FIXED = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(STRATEGIES),
        "freeze": st.sampled_from(["backbone", "neck", "none", 5]),
        "lr": st.just(0.001),
        "batch": st.just(8),
        "augment": st.just("light"),
        "mosaic": st.just(0.5),
        "views": st.just(3),
    },
)


def draw(space: Space, seed: int, count: int = 20) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [dict(space.suggest(study.ask())) for _ in range(count)]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@given(fixed=FIXED, batch=st.sampled_from([1, 4, 8, 16]), seed=st.integers(0, 1000))
def test_whatever_is_drawn_can_be_trained(fixed: dict[str, Any], batch: int, seed: int) -> None:
    space = usual_space(batch, fixed)
    for settings in draw(space, seed):
        assert not settings.keys() & fixed.keys()
        config = TrainConfig.parse({"data": "x", **fixed, **settings})
        if "freeze" in settings:  # the only strategy that leaves open what is frozen
            assert config.strategy == "freeze"
        if "views" in settings and config.strategy != "auto":
            assert any(stage.cached for stage in load_strategy(config.strategy).stages)
        assert space.holds(settings) == settings


@given(fixed=FIXED)
def test_a_space_comes_back_from_json(fixed: dict[str, Any]) -> None:
    space = usual_space(8, fixed)
    assert space_from_json(space.as_json(), space.strategy, Path("space.json")) == space


def test_a_rate_is_drawn_by_factors_and_written_short() -> None:
    rates = [s["lr"] for s in draw(Space({"lr": Range(1e-4, 1e-2, log=True)}), 0, 300)]
    assert all(1e-4 <= rate <= 1e-2 and float(f"{rate:.3g}") == rate for rate in rates)
    assert 0.4 < sum(rate < 1e-3 for rate in rates) / len(rates) < 0.6


def test_bounds_hold_although_numbers_are_rounded() -> None:
    axis = Range(0.0012345, 0.0012349)
    values = {s["l2_sp"] for s in draw(Space({"l2_sp": axis}), 0, 50)}
    assert values <= {0.0012345, 0.0012349}
    assert all(map(axis.holds, values))


def test_what_the_default_comes_to_is_told_as_far_as_it_lies_in_the_space() -> None:
    space = usual_space(8, {})
    found = space.holds({"strategy": "partial", "freeze": "backbone", "lr": None, "batch": 8})
    assert found == {"strategy": "partial", "batch": 8}
    assert space.holds({"strategy": "freeze", "freeze": "backbone", "mosaic": 1.0, "x": 1}) == {
        "strategy": "freeze",
        "freeze": "backbone",
        "mosaic": 1.0,
    }


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_is_the_whole_space(tmp_path: Path) -> None:
    path = write(
        tmp_path / "space.yaml",
        "strategy: [freeze, full]\nlr: {low: 0.0001, high: 0.01}\nviews: {low: 2, high: 4}\n"
        "mosaic: 0.5\nl2_sp: {low: 0.0, high: 1.0}\nbatch: [8, null]\n",
    )
    assert read_space(path, {"epochs": 3}) == Space(
        {
            "strategy": Choice(("freeze", "full")),
            "lr": Range(0.0001, 0.01, log=True),  # a rate, unless it says otherwise
            "views": Range(2, 4, whole=True),
            "mosaic": Choice((0.5,)),
            "l2_sp": Range(0, 1),
            "batch": Choice((8, None)),
        }
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no settings"),
        ("[lr]", "names no settings"),
        ("learning_rate: [0.1]", "'learning_rate' cannot be searched"),
        ("mosaik: [0.1]", "'mosaik' cannot be searched"),
        ("epochs: [10, 20]", "'epochs' cannot be searched"),
        ("lr: []", "neither choices"),
        ("lr: [0.1, 0.1]", "each named once"),
        ("freeze: [[0, 1]]", "neither choices"),
        ("lr: {low: 0.1}", "needs numbers, low below high"),
        ("lr: {low: 0.1, high: 0.1}", "low below high"),
        ("lr: {low: 0, high: 0.1}", "above 0"),
        ("lr: {low: 1e-4, high: 1e-2}", "needs numbers"),
        ("lr: {low: 0.1, heigh: 0.2}", "unknown part 'heigh'"),
        ("batch: {low: 1.5, high: 4}", "whole numbers"),
        ("strategy: [full]\nfreeze: [neck]", "freeze can have no effect"),
        ("augment: [light]", "augment is searched here, and also given as heavy"),
    ],
)
def test_what_is_no_space_is_refused_with_its_file(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / "space.yaml", text)
    with pytest.raises(UsageError, match=says) as refused:
        read_space(path, {"augment": "heavy"})
    assert refused.value.path == path


def test_a_wrong_name_ends_in_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_space(write(tmp_path / "space.yaml", "mosaik: [0.1]"), {})
    assert refused.value.hint == "Did you mean 'mosaic'?"


def test_all_that_is_searched_are_settings_of_a_training() -> None:
    assert set(SEARCHABLE) <= set(TrainConfig.model_fields)
