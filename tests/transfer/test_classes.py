"""Classes are met by name; what is not a name does not count as one."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.transfer.classes import match_classes
from detect_tl.transfer.kin import bare, read_kin, relatives, shipped_kin


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [
        (("a", "b"), ("b", "x", "a"), ((0, 1), (2, 0))),
        (("Traffic Light",), ("traffic light",), ((0, 0),)),
        (("traffic light",), ("TrafficLight",), ((0, 0),)),
        (("cat", "Cat"), ("Cat", "cat"), ((0, 1), (1, 0))),  # exact before similar
        (("Cat", "CAT"), ("cat",), ((0, 0),)),  # the first of two similar ones
        (("a",), ("b",), ()),
        (("0", "1"), ("0", "1"), ((0, 0), (1, 1))),
        (("0", "1"), ("x", "y"), ((0, 0), (1, 1))),
        (("0", "1"), ("x", "y", "z"), ()),
        ((), ("x",), ()),
    ],
)
def test_rows(source: tuple[str, ...], target: tuple[str, ...], rows: object) -> None:
    assert match_classes(source, target).rows == rows


def test_words() -> None:
    match = match_classes(("person", "car"), ("person", "helmet"))
    assert match.describe() == "class rows of person reused, of helmet new"
    many = match_classes(("person",), [f"part {i}" for i in range(9)])
    assert many.describe().endswith("part 5 and 3 more)")
    assert match.as_json() == {
        "matched_by": "name",
        "reused": {"person": 0},
        "kin": {},
        "new": ["helmet"],
    }


COCO = ("person", "bicycle", "car", "traffic light", "cell phone")


@pytest.mark.parametrize(
    ("target", "rows", "kin"),
    [
        (("sedan", "x"), ((0, 2),), {0}),
        (("Mobile-Phone", "SUV"), ((0, 4), (1, 2)), {0, 1}),
        (("traffic_signal",), ((0, 3),), {0}),
        (("car", "sedan"), ((0, 2), (1, 2)), {1}),  # a class may lend its rows twice
        (("kitten",), (), set()),  # the source has no cat
        (("bike", "bicycle"), ((0, 1), (1, 1)), {0}),
    ],
)
def test_a_class_is_taken_from_what_it_is_a_kind_of(
    target: tuple[str, ...], rows: object, kin: set[int]
) -> None:
    match = match_classes(COCO, target)
    assert match.rows == rows
    assert match.kin == kin


def test_kin_is_said_and_no_match_of_other_names_counts_as_the_same_classes() -> None:
    match = match_classes(("car", "person"), ("sedan", "person"))
    assert match.describe() == "class rows of person reused, of sedan taken from car"
    assert match.as_json()["kin"] == {"sedan": "car"}
    assert not match.identical


def test_a_file_of_ones_own_goes_before_the_table(tmp_path: Path) -> None:
    path = tmp_path / "kin.yaml"
    path.write_text("sedan: truck\nRBC: sports ball\n")
    kin = read_kin(path)
    match = match_classes(("car", "truck", "sports ball"), ("sedan", "rbc", "suv"), kin)
    assert match.rows == ((0, 1), (1, 2), (2, 0))
    path.write_text("- sedan\n")
    with pytest.raises(DataError, match="not a table of classes"):
        read_kin(path)


def test_the_table_names_every_class_once_and_no_class_of_coco_as_kin() -> None:
    table = json.loads(files("detect_tl.transfer").joinpath("kin.json").read_bytes())
    classes = table["classes"]
    assert {key for of_class in classes.values() for key in of_class} == {"same", "kinds", "alike"}
    related = [several for of_class in classes.values() for several in of_class.values()]
    names = [bare(name) for several in related for name in several]
    assert len(names) == len(set(names)) == len(shipped_kin())
    assert not set(names) & {bare(name) for name in classes}
    # a group may share its name only with what is like one of its classes, never with a kind
    known = relatives()
    assert not set(known.groups) & {*known.same, *known.kinds, *map(bare, classes)}
