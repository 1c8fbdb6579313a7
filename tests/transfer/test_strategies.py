"""Strategies are values: their stages cover a run, and freeze what they say."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from detect_tl.core.errors import UsageError
from detect_tl.models.yolo import model_config
from detect_tl.transfer.choosing import Situation, choose
from detect_tl.transfer.stages import plan_stages, stage_at, trains_from
from detect_tl.transfer.strategies import keeping, load_strategy, strategy_names

NAMES = ["freeze", "full", "gradual", "head", "lp-ft", "partial", "scratch"]
YOLO11 = model_config("yolo11n", "detect")


def test_all_are_on_offer_through_the_plugin_door() -> None:
    assert strategy_names() == NAMES
    for name in NAMES:
        strategy = load_strategy(name)
        assert strategy.name == name
        assert sum(stage.share for stage in strategy.stages) == pytest.approx(1)
    with pytest.raises(UsageError, match="unknown strategy 'gradal'") as caught:
        load_strategy("gradal")
    assert "gradual" in caught.value.hint


@given(name=st.sampled_from(NAMES), epochs=st.integers(1, 300))
def test_stages_cover_all_epochs_once(name: str, epochs: int) -> None:
    stages = plan_stages(load_strategy(name), epochs, YOLO11)
    assert [stages[0].start, *(s.stop for s in stages)] == [
        *(s.start for s in stages),
        epochs,
    ]
    assert all(planned.epochs >= 1 for planned in stages)
    for epoch in range(epochs):
        planned = stage_at(stages, epoch)
        assert planned.start <= epoch < planned.stop


@given(name=st.sampled_from(NAMES), epochs=st.integers(1, 40))
def test_what_is_frozen_trains_from_the_epoch_that_is_said(name: str, epochs: int) -> None:
    stages = plan_stages(load_strategy(name), epochs, YOLO11)
    until = trains_from(stages)
    for epoch in range(epochs):
        frozen = set(stage_at(stages, epoch).layers)
        assert frozen == {k for k, first in until.items() if first is None or epoch < first}


@given(
    name=st.sampled_from(NAMES),
    done=st.floats(0, 1),
    depths=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_deeper_layers_never_train_faster_and_rates_only_fall(
    name: str, done: float, depths: tuple[float, float]
) -> None:
    for planned in plan_stages(load_strategy(name), 10, YOLO11):
        near, deep = (planned.rate(done, depth) for depth in sorted(depths))
        assert 0 < deep <= near * (1 + 1e-12) <= planned.stage.lr * (1 + 1e-9)
        assert planned.rate(1, depths[0]) <= planned.rate(done, depths[0]) * (1 + 1e-12)


@given(name=st.sampled_from(NAMES), epochs=st.integers(1, 300), count=st.integers(1, 50))
def test_pictures_only_grow_and_end_as_large_as_they_are_in_use(
    name: str, epochs: int, count: int
) -> None:
    for planned in plan_stages(load_strategy(name), epochs, YOLO11):
        sizes = [planned.size(number, count) for number in range(count)]
        assert sizes == sorted(sizes)
        assert sizes[0] >= 0.3
        assert sizes[-1] == pytest.approx(1)
    for planned in plan_stages(load_strategy(name), epochs, YOLO11, growing=False):
        assert {planned.size(number, count) for number in range(count)} == {1.0}


@pytest.mark.parametrize(("epochs", "first"), [(1, 0.7), (3, 0.7), (4, 1.0), (20, 1.0)])
def test_pictures_grow_in_short_runs_only(epochs: int, first: float) -> None:
    (planned,) = plan_stages(load_strategy("freeze"), epochs, YOLO11)
    assert planned.stage.first_size == first


def test_what_is_frozen_can_be_said_where_there_is_one_stage() -> None:
    (planned,) = plan_stages(keeping(load_strategy("freeze"), "neck"), 5, YOLO11)
    assert planned.layers == tuple(range(23))
    with pytest.raises(UsageError, match="by itself"):
        keeping(load_strategy("gradual"), 3)


@pytest.mark.parametrize(
    ("situation", "name", "word"),
    [
        (Situation(200, 3, 0, gpu=True, epochs=50), "lp-ft", "new classes"),
        (Situation(200, 3, 1, gpu=True, epochs=50), "lp-ft", "1 of 3 classes"),
        (Situation(200, 3, 1, gpu=False, epochs=8), "partial", "no GPU"),
        (Situation(200, 3, 1, gpu=False, epochs=50), "gradual", "1 of 3 classes"),
        (Situation(200, 3, 0, gpu=False, epochs=3), "freeze", "3 epochs"),
        (Situation(20, 3, 1, gpu=False, epochs=100), "full", "20 images"),
        (Situation(20, 3, 1, gpu=False, epochs=20), "gradual", "no GPU"),
        (Situation(20, 2, 2, gpu=False, epochs=50), "freeze", "2 classes by name"),
    ],
)
def test_the_choice_is_explained(situation: Situation, name: str, word: str) -> None:
    choice = choose(situation)
    assert choice.strategy == name
    assert word in choice.why
    assert choice.rounds == (2 if name == "full" else 1)


@given(name=st.sampled_from(NAMES), epochs=st.integers(1, 60), rounds=st.integers(2, 5))
def test_every_round_is_planned_as_a_run_of_its_length(name: str, epochs: int, rounds: int) -> None:
    strategy = load_strategy(name)
    if name == "scratch" or rounds > epochs:
        with pytest.raises(UsageError, match=r"random numbers|cannot be shared by a soup"):
            plan_stages(strategy, epochs, YOLO11, rounds=rounds)
        return
    stages = plan_stages(strategy, epochs, YOLO11, rounds=rounds)
    assert [s.start for s in stages] == [0, *(s.stop for s in stages[:-1])]
    start = 0
    for number in range(rounds):
        own = [s for s in stages if s.round == number]
        alone = plan_stages(strategy, own[-1].until - start, YOLO11)
        assert [(s.stage, s.layers, s.start - start, s.stop - start) for s in own] == [
            (s.stage, s.layers, s.start, s.stop) for s in alone
        ]
        assert {s.until for s in own} == {own[-1].stop}
        start = own[-1].stop
    assert start == epochs
