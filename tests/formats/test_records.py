from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from detect_tl.core.dataset import Instance
from detect_tl.core.geometry import Box, PolygonMask, RleMask, Size, bitmap_to_rle, box_ring
from detect_tl.formats.records import (
    bitmap_box,
    join_parts,
    label_of,
    number,
    placed_bitmap,
    rotated_ring,
    run_lengths,
    size_of,
    split_of_stem,
)


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
        lambda s: st.tuples(
            st.just(s), st.lists(st.booleans(), min_size=s[0] * s[1], max_size=s[0] * s[1])
        )
    ),
    st.tuples(*[st.integers(0, 4)] * 4),
)
def test_a_patch_lies_where_drawing_the_whole_image_puts_it(
    drawn: tuple[tuple[int, int], list[bool]], margins: tuple[int, int, int, int]
) -> None:
    (height, width), bits = drawn
    left, top, right, bottom = margins
    patch = np.asarray(bits, dtype=np.uint8).reshape(height, width) * 255
    whole = np.pad(patch, ((top, bottom), (left, right)))
    size = Size(whole.shape[1], whole.shape[0])
    assert placed_bitmap(patch, left, top, size) == bitmap_to_rle(whole)
    if patch.any():
        ys, xs = np.nonzero(whole)
        expected = Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert bitmap_box(patch, left, top) == expected


@pytest.mark.parametrize(("left", "top"), [(-1, 0), (0, -1), (8, 0), (0, 8)])
def test_a_patch_that_leaves_the_image_is_refused(left: int, top: int) -> None:
    with pytest.raises(ValueError, match="leaves the 10x10 image"):
        placed_bitmap(np.ones((3, 3), np.uint8), left, top, Size(10, 10))


def test_an_image_too_large_to_be_one_takes_no_memory() -> None:
    with pytest.raises(ValueError, match="larger than any"):
        placed_bitmap(np.ones((3, 3), np.uint8), 0, 0, Size(10**9, 10**9))
    with pytest.raises(ValueError, match="larger than any"):
        run_lengths({"size": [10**9, 10**9], "counts": [10**18]})


def test_a_quarter_turn_is_clockwise_on_the_screen() -> None:
    ring = rotated_ring(Box(0, 10, 40, 20), 90)
    assert ring[0].tolist() == pytest.approx([25, -5])  # the top left corner is now the top right
    assert ring.min(axis=0).tolist() == pytest.approx([15, -5])
    assert ring.max(axis=0).tolist() == pytest.approx([25, 35])


@given(st.floats(-400, 400))
def test_turning_keeps_the_centre_and_the_sides(degrees: float) -> None:
    ring = rotated_ring(Box(1, 2, 7, 5), degrees)
    assert ring.mean(axis=0).tolist() == pytest.approx([4, 3.5])
    sides = np.linalg.norm(ring - np.roll(ring, -1, axis=0), axis=1)
    assert sides.tolist() == pytest.approx([6, 3, 6, 3])


def test_only_outlines_of_one_group_and_class_are_joined() -> None:
    def item(category: int, shift: float, *, masked: bool = True) -> Instance:
        box = Box(shift, 0, shift + 5, 5)
        return Instance(category, box, PolygonMask((box_ring(box),)) if masked else None)

    items = [
        (1, item(0, 0)),
        (None, item(0, 10)),
        (1, item(0, 20)),
        (1, item(1, 30)),
        (1, item(0, 40, masked=False)),
        (None, item(0, 50)),
    ]
    joined = list(join_parts(items))
    assert [i.box.x1 for i in joined] == [0, 10, 30, 40, 50]
    assert joined[0].box == Box(0, 0, 25, 5)
    assert isinstance(joined[0].mask, PolygonMask)
    assert len(joined[0].mask.parts) == 2


@pytest.mark.parametrize("value", [True, None, "nan", "", "1_000", math.inf, "1,5", [], 10**400])
def test_what_is_no_finite_number(value: object) -> None:
    with pytest.raises(ValueError, match="is not a finite number"):
        number(value)


def test_numbers_as_files_have_them() -> None:
    assert (number(3), number(" 2.5 "), number("1e2")) == (3, 2.5, 100)


@pytest.mark.parametrize("value", ["", "  ", None, {}, []])
def test_what_is_no_label(value: object) -> None:
    with pytest.raises(ValueError, match="its label is"):
        label_of(value)
    assert (label_of(" cat "), label_of(7)) == ("cat", "7")


def test_sizes_that_make_no_sense_are_none() -> None:
    assert size_of("100", 80.0) == Size(100, 80)
    assert size_of(math.nan, 80) is size_of(None, None) is size_of(1e999, 1) is None


@pytest.mark.parametrize(
    ("stem", "split"),
    [("train_labels", "train"), ("validation-annotations-bbox", "val"), ("train-val", None)],
)
def test_the_split_in_the_name_of_a_file(stem: str, split: str | None) -> None:
    assert split_of_stem(stem) == split


def test_run_lengths_compressed_or_not_are_the_same() -> None:
    from pycocotools import mask as coco

    bitmap = np.zeros((5, 8), np.uint8)
    bitmap[1:4, 2:7] = 1
    packed = coco.encode(np.asfortranarray(bitmap))
    compressed = run_lengths({"size": [5, 8], "counts": packed["counts"].decode()})
    assert compressed == bitmap_to_rle(bitmap)
    assert run_lengths({"size": [5, 8], "counts": list(compressed.counts)}) == compressed
    assert isinstance(compressed, RleMask)
