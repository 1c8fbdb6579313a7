"""Dividing groups: to the asked sizes, classes alike, better than chance."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.dataset import SPLITS, Dataset
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Report
from detect_tl.curate.balance import Balance, balance_of, uneven_splits
from detect_tl.curate.split import plan_folds, plan_split, settle_splits, shares_of
from detect_tl.curate.stratify import Group, divide, whole_shares
from detect_tl.formats.detect import read_dataset
from tests.curate.test_split import NAMES, dataset, unsplit

SHARES = (0.8, 0.1, 0.1)

groups_ = st.lists(st.integers(0, 8), min_size=3, max_size=40)
words_ = st.lists(st.text(NAMES, max_size=4), min_size=6, max_size=60)


@given(total=st.integers(0, 500), shares=st.sampled_from([SHARES, (0.5, 0.5), (1 / 3,) * 3]))
def test_whole_shares_add_up_and_are_off_by_less_than_one(
    total: int, shares: tuple[float, ...]
) -> None:
    whole = whole_shares(total, shares)
    assert sum(whole) == total
    assert all(abs(n - share * total) < 1 for n, share in zip(whole, shares, strict=True))


@given(words=words_, seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_images_on_their_own_are_divided_to_the_asked_numbers(words: list[str], seed: int) -> None:
    counts = whole_shares(len(words), (0.6, 0.2, 0.2))
    plan = plan_split(unsplit(*words), counts, seed)
    assert plan.counts() == dict(zip(SPLITS, counts, strict=True))


@given(words=words_, seed=st.integers(0, 3), keys=groups_)
@settings(max_examples=40, deadline=None)
def test_groups_are_never_cut(words: list[str], seed: int, keys: list[int]) -> None:
    made = unsplit(*words)
    groups = [keys[place % len(keys)] for place in range(len(words))]
    if len(set(groups)) < 2:
        with pytest.raises(DataError, match="belong to one group"):
            plan_split(made, SHARES, seed, groups)
        return
    plan = plan_split(made, SHARES, seed, groups)
    assert plan == plan_split(made, SHARES, seed, groups)
    for group in set(groups):
        of_group = {s for s, key in zip(plan.splits, groups, strict=True) if key == group}
        assert len(of_group) == 1


@given(words=words_, seed=st.integers(0, 3), folds=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_every_image_is_in_val_of_one_fold(words: list[str], seed: int, folds: int) -> None:
    plans = plan_folds(unsplit(*words), folds, seed)
    assert len(plans) == folds
    for place in range(len(words)):
        assert Counter(plan.splits[place] for plan in plans) == {"val": 1, "train": folds - 1}
    sizes = [plan.counts()["val"] for plan in plans]
    assert max(sizes) - min(sizes) <= 1


def test_folds_that_cannot_be_made_are_refused() -> None:
    made = unsplit(*["a"] * 10)
    with pytest.raises(UsageError, match="1 folds are none"):
        plan_folds(made, 1)
    with pytest.raises(DataError, match="2 groups of images cannot be divided into 3 folds"):
        plan_folds(made, 3, groups=[0] * 5 + [1] * 5)


def test_numbers_must_add_up_to_all_images() -> None:
    assert shares_of((300, 50, 50), 400) == (0.75, 0.125, 0.125)
    with pytest.raises(UsageError, match=r"300,50 asks for 350 images; there are 400"):
        shares_of((300, 50), 400)
    with pytest.raises(UsageError, match="impossible"):
        shares_of((400, 0), 400)


def test_the_parts_are_the_best_that_all_ways_to_divide_offer() -> None:
    """Small enough to try every way: the exchange must not stop far from the best one."""
    rng = random.Random(0)
    for _ in range(20):
        counts = [{k: rng.randint(0, 3) for k in range(3)} for _ in range(10)]
        objects = [{k: n for k, n in found.items() if n} for found in counts]
        groups = [Group(1, dict.fromkeys(found, 1), found) for found in objects]
        best = min(loss(groups, [number >> k & 1 for k in range(10)]) for number in range(1024))
        reached = loss(groups, divide(groups, (0.5, 0.5), seed=1))
        worst_half = sorted(loss(groups, rng.sample([0, 1] * 5, 10)) for _ in range(200))[100]
        assert reached <= best + (worst_half - best) * 0.35


def loss(groups: list[Group], parts: list[int]) -> float:
    """The sum of squares that is to be small; infinite for parts of unequal size."""
    if sum(parts) != len(parts) // 2:
        return float("inf")
    total = 0.0
    for label in range(3):
        for field in ("images", "objects"):
            held = [getattr(group, field).get(label, 0) for group in groups]
            if sum(held):
                share = sum(h for h, part in zip(held, parts, strict=True) if part) / sum(held)
                total += 2 * (share - 0.5) ** 2
    return total


def test_balance_is_what_was_reached() -> None:
    made = dataset(("aab", "train"), ("a", "val"), ("", "val"), ("b", "train"))
    balance = balance_of(made, {"train": 0.5, "val": 0.5})
    assert balance.images == {"train": 0.5, "val": 0.5}
    assert balance.classes == {
        "a": {"train": pytest.approx(2 / 3), "val": pytest.approx(1 / 3)},
        "b": {"train": 1.0, "val": 0.0},
    }
    assert balance.worst == ("b", 0.5)
    assert balance.mean == pytest.approx((1 / 6 + 1 / 2) / 2)
    assert balance.as_json()["largest_deviation"] == {"class": "b", "share": 0.5}


def test_without_objects_there_is_no_worst_class() -> None:
    balance = balance_of(unsplit("", ""), {"train": 1.0})
    assert balance.worst is None
    assert balance.mean == 0


def test_a_split_that_groups_push_off_its_size_is_named() -> None:
    balance = Balance({"train": 0.8, "val": 0.2}, {"train": 0.5, "val": 0.5}, {})
    found = list(uneven_splits(balance, [0, 0, 1, 1], ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]))
    assert [f.code for f in found] == ["split.uneven"] * 2
    assert "val has 50.0% of the images instead of 20.0%" in found[1].message
    assert "the largest of 2 images (a.jpg, …)" in found[1].message
    even = Balance({"train": 0.8, "val": 0.2}, {"train": 0.79, "val": 0.21}, {})
    assert not list(uneven_splits(even, range(100), ["a.jpg"] * 100))


def test_splits_are_settled_without_dividing() -> None:
    report = Report()
    settled, reason = settle_splits(dataset(("a", None), ("a", None)), report)
    assert [s.split for s in settled.samples] == ["train", "train"]
    assert reason == "there were no splits; all images are in train"
    settled, reason = settle_splits(dataset(("a", "test"), ("a", None)), report)
    assert [s.split for s in settled.samples] == ["test", "train"]
    assert report.changed == {"images-put-into-train": 1}
    known = dataset(("a", "test"))
    assert settle_splits(known, report) == (known, "the splits as they were (test)")


def deviation(made: Dataset, splits: tuple[str, ...]) -> float:
    """Mean distance of the share of objects from the wanted one, over classes and splits."""
    counts = np.zeros((len(SPLITS), len(made.categories)))
    for sample, split in zip(made.samples, splits, strict=True):
        for item in sample.instances:
            counts[SPLITS.index(split), item.category] += 1
    used = counts.sum(axis=0) > 0
    shares = counts[:, used] / counts[:, used].sum(axis=0)
    return float(np.abs(shares - np.asarray(SHARES)[:, None]).mean())


@pytest.mark.parametrize(
    ("name", "at_most", "against_chance"),
    [("voc_bccd", 0.001, 0.2), ("coco_coco128_0hye", 0.11, 0.7)],
)
def test_real_sets_are_divided_better_than_by_chance(
    shared: Path, name: str, at_most: float, against_chance: float
) -> None:
    made = read_dataset(shared / "data" / name).dataset
    reached, by_chance = [], []
    for seed in range(3):
        splits = plan_split(made, SHARES, seed).splits
        reached.append(deviation(made, splits))
        shuffled = list(splits)
        random.Random(seed).shuffle(shuffled)
        by_chance.append(deviation(made, tuple(shuffled)))
    assert np.mean(reached) <= at_most
    assert np.mean(reached) <= against_chance * np.mean(by_chance)
