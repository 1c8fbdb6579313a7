"""Classes are met by name; what is not a name does not count as one."""

from __future__ import annotations

import pytest

from detect_tl.transfer.classes import match_classes


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
    assert match.as_json() == {"matched_by": "name", "reused": {"person": 0}, "new": ["helmet"]}
