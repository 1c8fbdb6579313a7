from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from detect_tl.curate.names import plan_names

ROOT = Path("/data")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.jpg", "b.png"], ["a.jpg", "b.png"]),
        (["train/a.jpg", "val/b.jpg"], ["a.jpg", "b.jpg"]),
        (["train/a.jpg", "val/a.jpg"], ["train_a.jpg", "val_a.jpg"]),
        (["a.jpg", "a.png"], ["a.jpg", "a-2.png"]),  # they would share a.txt
        (["\u00e9.jpg", "x/e\u0301.jpg"], ["\u00e9.jpg", "x_e\u0301.jpg"]),
        (["x/a.jpg", "x/A.jpg"], ["x_a-2.jpg", "x_A.jpg"]),  # one file on some machines
        (["x/a.jpg", "a.jpg", "x_a.jpg"], ["x_a-2.jpg", "a.jpg", "x_a.jpg"]),
    ],
)
def test_names_stay_unless_they_collide(paths: list[str], names: list[str]) -> None:
    assert plan_names([ROOT / path for path in paths], ROOT) == names


def test_images_from_elsewhere_keep_their_names() -> None:
    elsewhere = [Path("/cache/1/a.jpg"), Path("/cache/2/a.jpg")]
    assert plan_names(elsewhere, ROOT) == ["a.jpg", "a-2.jpg"]


parts = st.sampled_from(["a", "b", "A", "a-2", "x_a", "x"])
paths = st.tuples(st.lists(parts, max_size=2), parts, st.sampled_from([".jpg", ".png"])).map(
    lambda v: ROOT.joinpath(*v[0], v[1] + v[2])
)


@given(st.lists(paths, unique=True, max_size=12))
def test_no_two_stems_are_alike_and_the_order_does_not_matter(images: list[Path]) -> None:
    names = plan_names(images, ROOT)
    assert len({Path(name).stem.casefold() for name in names}) == len(images)
    assert [Path(n).suffix for n in names] == [p.suffix for p in images]
    again = plan_names(images[::-1], ROOT)
    assert names == again[::-1]


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".jpg", "\N{SNOWMAN}" * 83 + ".png", os.fsdecode(b"\xff\xfe.jpg")]
)
def test_names_leave_room_for_the_files_beside_them(name: str) -> None:
    other = name[:-5] + "y" + name[-4:]
    first, second, again = plan_names([ROOT / name, ROOT / other, ROOT / "sub" / name], ROOT)
    assert len({first, second, again}) == 3
    for found in (first, second, again):
        assert len(found.encode()) <= 200
        assert Path(found).suffix == name[-4:]
