"""Dividing images: as the source says, else by seed and class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.geometry import Box, Size
from detect_tl.curate.split import check_fractions, plan_split

NAMES = "abcdefgh"


def dataset(*samples: tuple[str, str | None]) -> Dataset:
    """A data set of images with the classes that the letters of a word stand for."""
    made = [
        Sample(
            Path(f"{place:04}.jpg"),
            Size(10, 10),
            tuple(Instance(NAMES.index(letter), Box(0, 0, 5, 5)) for letter in letters),
            split,
        )
        for place, (letters, split) in enumerate(samples)
    ]
    return Dataset(tuple(Category(name) for name in NAMES), tuple(made))


def unsplit(*words: str) -> Dataset:
    return dataset(*((word, None) for word in words))


def test_splits_of_the_source_are_honoured() -> None:
    given_ = dataset(("a", "train"), ("a", "val"), ("a", "test"), ("a", "train"))
    plan = plan_split(given_)
    assert plan.splits == ("train", "val", "test", "train")
    assert plan.reason == "the source's own splits (train, val, test)"
    assert plan.counts() == {"train": 2, "val": 1, "test": 1}
    assert [s.split for s in plan.apply(given_).samples] == list(plan.splits)


def test_what_the_lists_of_the_source_leave_out_goes_to_train() -> None:
    plan = plan_split(dataset(("a", "train"), ("a", "val"), ("a", None)))
    assert plan.splits == ("train", "val", "train")
    assert "1 images that are in none of them went to train" in plan.reason


def test_without_val_the_test_split_is_kept_and_train_divided() -> None:
    plan = plan_split(dataset(*[("a", "train")] * 18, *[("a", "test")] * 4))
    assert plan.splits[18:] == ("test",) * 4
    assert plan.counts() == {"train": 16, "val": 2, "test": 4}
    assert "the source's own test split; it has no val split" in plan.reason


@pytest.mark.parametrize(
    ("only", "words"),
    [("train", "only a train split"), ("val", "only a val"), ("test", "only a test")],
)
def test_a_single_split_is_none(only: str, words: str) -> None:
    plan = plan_split(dataset(*[("a", only)] * 20))
    assert plan.counts() == {"train": 16, "val": 2, "test": 2}
    assert words in plan.reason


def test_fractions_that_are_asked_for_win() -> None:
    plan = plan_split(dataset(*[("a", "train")] * 5, *[("a", "val")] * 5), (0.5, 0.3, 0.2))
    assert plan.counts() == {"train": 5, "val": 3, "test": 2}
    assert "in place of the source's own (train, val)" in plan.reason


@given(
    words=st.lists(st.text(NAMES, max_size=4), min_size=3, max_size=80),
    seed=st.integers(0, 5),
    fractions=st.sampled_from([(0.8, 0.2), (0.8, 0.1, 0.1), (0.5, 0.25, 0.25)]),
)
@settings(max_examples=60, deadline=None)
def test_a_split_is_a_partition_of_the_asked_size(
    words: list[str], seed: int, fractions: tuple[float, ...]
) -> None:
    made = unsplit(*words)
    plan = plan_split(made, fractions, seed)
    assert plan == plan_split(made, fractions, seed)
    assert len(plan.splits) == len(words)
    counts = plan.counts()
    assert counts["train"] >= 1
    assert counts["val"] >= 1
    # each class can pull a split from its size by one image at most
    for split, share in zip(("train", "val", "test"), fractions, strict=False):
        assert abs(counts.get(split, 0) - share * len(words)) <= len(NAMES) + 1


def test_the_order_of_the_source_does_not_matter() -> None:
    forward = unsplit(*("ab", "b", "c", "a", "bc", "a", "c", "b") * 4)
    backward = Dataset(forward.categories, forward.samples[::-1])
    first, second = (plan_split(made, seed=3).apply(made) for made in (forward, backward))
    assert {s.image: s.split for s in first.samples} == {s.image: s.split for s in second.samples}


def test_seeds_divide_differently() -> None:
    made = unsplit(*["a"] * 100)
    assert len({plan_split(made, seed=seed).splits for seed in range(5)}) == 5


def test_a_rare_class_is_spread_over_the_splits() -> None:
    made = unsplit(*["a"] * 190, *["ab"] * 10)
    for seed in range(10):
        plan = plan_split(made, (0.8, 0.1, 0.1), seed)
        rare = Counter(plan.splits[190:])
        assert rare == {"train": 8, "val": 1, "test": 1}
        assert plan.counts() == {"train": 160, "val": 20, "test": 20}


def test_groups_stay_together() -> None:
    made = unsplit(*["a", "b"] * 30)
    groups = [place // 3 for place in range(60)]
    plan = plan_split(made, groups=groups)
    for group in range(20):
        assert len(set(plan.splits[3 * group : 3 * group + 3])) == 1
    assert plan.counts() == {"train": 48, "val": 6, "test": 6}


def test_two_images_are_one_for_each() -> None:
    assert sorted(plan_split(unsplit("a", "a")).splits) == ["train", "val"]


@pytest.mark.parametrize("made", [unsplit("a"), dataset(("a", "train"))])
def test_an_empty_split_is_an_error(made: Dataset) -> None:
    with pytest.raises(DataError, match="leaves no image for val") as caught:
        plan_split(made)
    assert caught.value.exit_code == 3
    assert "--split" in caught.value.hint


def test_images_that_are_all_the_same_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="leaves no image for val"):
        plan_split(unsplit("a", "a", "a"), groups=["one"] * 3)


@pytest.mark.parametrize(
    "fractions",
    [(), (1.0,), (0.8, 0.3), (0.5, 0.2, 0.2), (1.0, 0.0), (0, 1), (-0.5, 1.5), (0.25,) * 4,
     (float("nan"), 1)],
)  # fmt: skip
def test_impossible_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="is impossible"):
        check_fractions(fractions)


def test_good_fractions_are_taken() -> None:
    assert check_fractions([0.7, 0.2, 0.1]) == (0.7, 0.2, 0.1)
    assert check_fractions((0.9, 0.1)) == (0.9, 0.1)
