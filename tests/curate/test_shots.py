"""Drawing a few pictures of every class: laws for any data set."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, strategies as st

from detect_tl.core.dataset import Instance, Sample
from detect_tl.core.geometry import Box, Size
from detect_tl.curate.shots import draw_shots

CLASSES = 4
held = st.lists(st.sets(st.integers(0, CLASSES - 1)), min_size=1, max_size=20)


def samples(pictures: list[set[int]], *, crowd: bool = False) -> list[Sample]:
    size = Size(10, 10)
    return [
        Sample(
            Path(f"{k}.png"),
            size,
            tuple(Instance(c, Box(1, 1, 5, 5), iscrowd=crowd) for c in sorted(classes)),
        )
        for k, classes in enumerate(pictures)
    ]


@given(held, st.integers(1, 6), st.integers(0, 99))
def test_every_class_is_on_as_many_pictures_as_there_can_be(
    pictures: list[set[int]], shots: int, seed: int
) -> None:
    chosen = draw_shots(samples(pictures), CLASSES, shots, seed)
    assert chosen == sorted(set(chosen))
    for label in range(CLASSES):
        there = sum(label in classes for classes in pictures)
        assert sum(label in pictures[k] for k in chosen) >= min(shots, there)
    assert all(pictures[k] for k in chosen)  # none that holds nothing
    assert len(chosen) <= shots * CLASSES


@given(held, st.integers(1, 6), st.integers(0, 99))
def test_more_shots_add_to_fewer(pictures: list[set[int]], shots: int, seed: int) -> None:
    few, more = (draw_shots(samples(pictures), CLASSES, n, seed) for n in (shots, shots + 2))
    assert set(few) <= set(more)
    assert few == draw_shots(samples(pictures), CLASSES, shots, seed)


def test_seeds_draw_differently() -> None:
    pictures = samples([{0}] * 30)
    assert len({tuple(draw_shots(pictures, 1, 2, seed)) for seed in range(8)}) > 4


def test_crowds_are_no_objects() -> None:
    assert draw_shots(samples([{0}, {1}], crowd=True), CLASSES, 1, 0) == []
