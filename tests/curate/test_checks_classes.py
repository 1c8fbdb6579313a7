"""Checks of class names, and of how many objects each class has."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.geometry import Box, Size
from detect_tl.curate.checks import Limits, Selection, check_dataset
from detect_tl.curate.checks.spelling import one_letter_apart, singular
from detect_tl.formats.detect import read_dataset


def dataset(counts: list[tuple[str, int]]) -> Dataset:
    items = tuple(
        Instance(index, Box(0, 0, place + 1, 9))
        for index, (_, count) in enumerate(counts)
        for place in range(count)
    )
    sample = Sample(Path("a.jpg"), Size(2000, 80), items, None, Path("a.xml"))
    return Dataset(tuple(Category(name) for name, _ in counts), (sample,))


def messages(counts: list[tuple[str, int]], id_: str) -> list[str]:
    report = check_dataset(dataset(counts), decode=False, selection=Selection((id_,)))
    return [finding.message for finding in report.findings]


def test_unused_duplicate_and_nameless_classes() -> None:
    counts = [("cat", 3), ("dog", 0), ("cat", 2), (" ", 1)]
    assert messages(counts, "class.unused") == ["class 'dog' has no object"]
    assert messages(counts, "class.duplicate") == ["class 'cat' is declared 2 times"]
    assert messages(counts, "class.nameless") == ["class 3 has no name (1 object)"]
    assert messages(counts, "class.case-variant") == []


def test_names_that_differ_in_case_or_spaces() -> None:
    (text,) = messages([("cat", 3), ("Cat ", 1), ("dog", 1)], "class.case-variant")
    assert text == "'cat' (3 objects), 'Cat ' (1 object) differ in case or spaces only"
    assert messages([("cat", 3), ("Cat ", 1)], "class.similar") == []  # said once


def test_few_and_imbalanced() -> None:
    counts = [("often", 1200), ("some", 12), ("rare", 9), ("never", 0)]
    assert messages(counts, "class.few") == ["class 'rare' has 9 objects"]
    (text,) = messages(counts, "class.imbalance")
    assert text == ("'often' has 1200 objects, 133 times as many as the rarest: 'rare' (9 objects)")
    assert messages(counts[:2], "class.imbalance") == []
    loose = Selection(("class.few",))
    report = check_dataset(dataset(counts), decode=False, selection=loose, limits=Limits(few=5))
    assert not report.findings


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("Cat", 19), ("Cats", 5)),
        (("berry", 5), ("berries", 5)),
        (("box", 5), ("boxes", 5)),
        (("traffic light", 5), ("traffic_light", 5)),
        (("traffic-lights", 5), ("Traffic Light", 5)),
        (("blister", 200), ("blitster", 2)),  # one too many
        (("scratch", 100), ("scrach", 1)),  # one too few
        (("scratch", 100), ("scratcj", 1)),  # the wrong one
        (("scratch", 100), ("scrathc", 1)),  # two swapped
        (("paint scratch", 100), ("paint scrach", 0)),
    ],
)
def test_names_that_may_be_one(a: tuple[str, int], b: tuple[str, int]) -> None:
    for counts in ([a, b], [b, a]):
        (text,) = messages(counts, "class.similar")
        assert repr(a[0]) in text
        assert repr(b[0]) in text


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("car", 500), ("cat", 1)),  # too short
        (("bowl", 500), ("bow", 1)),
        (("mouse", 500), ("house", 1)),  # nobody slips at the first letter
        (("grape", 50), ("grade", 40)),  # both frequent
        (("bolt6", 500), ("bolt8", 1)),  # digits are meant
        (("grade a", 500), ("grade b", 1)),
        (("front left", 500), ("front right", 1)),
        (("with helmet", 500), ("without helmet", 1)),
        (("glass", 50), ("glas", 40)),
        (("bus", 50), ("bu", 50)),
        (("person", 0), ("parson", 0)),  # unused ones are said to be unused
    ],
)
def test_names_that_are_two(a: tuple[str, int], b: tuple[str, int]) -> None:
    assert messages([a, b], "class.similar") == []


def test_the_classes_of_coco_are_different(shared: Path) -> None:
    names = read_dataset(shared / "data/coco_coco128_0hye").dataset.names
    assert len({singular(name) for name in names}) == len(names) == 80
    assert list(one_letter_apart(names)) == []


def test_many_names_are_compared_quickly() -> None:
    names = [f"{chr(97 + k % 26)}{chr(97 + k // 26 % 26)}{k}thing" for k in range(20_000)]
    assert list(one_letter_apart([*names, "something", "somethinge"])) == [(20_000, 20_001)]
