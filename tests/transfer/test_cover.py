"""Names are covered by what a model knows, and the words say how."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from detect_tl.transfer.cover import Coverage, cover_names
from detect_tl.transfer.kin import relatives

COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,bird,cat,dog,backpack,handbag,"
    "suitcase,couch,tv,sports ball,wine glass,dining table"
).split(",")


def only(name: str, known: list[str] = COCO) -> tuple[str | None, tuple[str, ...]]:
    (cover,) = cover_names([name], known).covers
    return cover.how, cover.classes


@pytest.mark.parametrize(
    ("name", "how", "classes"),
    [
        ("car", "name", ("car",)),
        ("Sports-Ball", "name", ("sports ball",)),
        ("cars", "name", ("car",)),
        ("buses", "name", ("bus",)),
        ("sofa", "synonym", ("couch",)),
        ("motorbikes", "synonym", ("motorcycle",)),
        ("sedan", "parent", ("car",)),
        ("pedestrians", "parent", ("person",)),
        ("Delivery Truck", "parent", ("truck",)),
        ("luggage", "kinds", ("backpack", "handbag", "suitcase")),
        ("animals", "kinds", ("bird", "cat", "dog")),
        ("helmet", None, ()),
        ("forklift", None, ()),
        ("", None, ()),
    ],
)
def test_what_stands_for_a_name(name: str, how: str | None, classes: tuple[str, ...]) -> None:
    assert only(name) == (how, classes)


def test_a_model_of_other_classes_is_looked_through_in_the_same_way() -> None:
    own = ["sedan", "Lorry", "RBC"]
    assert only("rbc", own) == ("name", ("RBC",))
    assert only("truck", own) == ("synonym", ("Lorry",))
    assert only("car", own) == ("kinds", ("sedan",))
    assert only("vehicle", own) == ("kinds", ("sedan", "Lorry"))
    assert only("taxi", own) == (None, ())  # a sedan is another kind of car


def test_what_is_only_alike_stands_for_nothing_but_is_said() -> None:
    coverage = cover_names(["desk", "helmet"], COCO)
    told = [cover.describe("yolo11n") for cover in coverage.covers]
    assert told == [
        "desk: no class of yolo11n; dining table is only like it",
        "helmet: no class of yolo11n",
    ]
    assert coverage.missing == ("desk", "helmet")
    assert coverage.labels == {}


def told(coverage: Coverage) -> list[str]:
    return [cover.describe("COCO") for cover in coverage.covers]


def test_words() -> None:
    assert told(cover_names(["sedan", "sofa", "car", "bag"], COCO)) == [
        "sedan: car (its parent, so every car is found); shown as car",
        "sofa: couch (another name for it)",
        "car: car, a class of COCO",
        "bag: backpack, handbag (the kinds of it that COCO knows)",
    ]


def test_names_that_share_a_class_cannot_be_told_apart() -> None:
    coverage = cover_names(["sedan", "taxi"], COCO)
    assert coverage.labels == {"car": "sedan or taxi"}
    assert told(coverage)[1].endswith("shown as sedan or taxi")
    nearer = cover_names(["vehicle", "lorry"], COCO)  # truck is a lorry before it is a vehicle
    assert nearer.labels["truck"] == "lorry"
    assert nearer.labels["car"] == "vehicle"
    assert nearer.covers[0].shown == ("vehicle", "lorry")


def test_a_name_that_is_given_twice_counts_once() -> None:
    assert cover_names(["car", "car"], COCO) == cover_names(["car"], COCO)


NAMES = [*COCO, *relatives().same, *relatives().kinds, *relatives().groups, "forklift", "helmet"]


@given(st.lists(st.sampled_from(NAMES), max_size=6), st.lists(st.sampled_from(NAMES), unique=True))
def test_every_name_is_covered_or_missing_and_every_label_comes_from_a_name(
    names: list[str], known: list[str]
) -> None:
    coverage = cover_names(names, known)
    assert [cover.name for cover in coverage.covers] == list(dict.fromkeys(names))
    assert set(coverage.labels) == {c for cover in coverage.covers for c in cover.classes}
    assert set(coverage.labels) <= set(known)
    for cover in coverage.covers:
        assert (cover.how is None) == (cover.classes == ()) == (cover.name in coverage.missing)
        assert set(cover.shown) <= set(coverage.labels.values())
        assert cover.name in cover.describe("it")
    for label in coverage.labels.values():
        assert set(label.split(" or ")) <= set(names)
