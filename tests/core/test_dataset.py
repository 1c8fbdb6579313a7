from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.dataset import (
    Category,
    CategoryIndex,
    Dataset,
    Instance,
    Sample,
    renumber,
)
from detect_tl.core.geometry import Box, PolygonMask, Size, box_ring

BOX = Box(0, 0, 5, 5)
MASK = PolygonMask((box_ring(BOX),))


def dataset(*categories: int, masks: int = 0, crowds: int = 0) -> Dataset:
    items = [Instance(c, BOX, MASK if k < masks else None) for k, c in enumerate(categories)]
    items += [Instance(0, BOX, MASK, iscrowd=True) for _ in range(crowds)]
    sample = Sample(Path("a.jpg"), Size(10, 10), tuple(items), "train")
    return Dataset((Category("cat"), Category("dog", "animal"), Category("cow")), (sample,))


def test_counts_name_every_class() -> None:
    counted = dataset(0, 1, 1)
    assert counted.objects_per_class() == {"cat": 1, "dog": 2, "cow": 0}
    assert counted.names == ["cat", "dog", "cow"]
    assert len(counted) == 1
    assert counted.in_split("train") == list(counted.samples)
    assert counted.in_split("val") == []


@pytest.mark.parametrize(
    ("masks", "crowds", "task"),
    [
        (0, 0, "detect"),
        (1, 0, "detect"),
        (2, 0, "segment"),
        (4, 0, "segment"),
        (0, 9, "detect"),  # crowds have masks in COCO, whatever the rest is
    ],
)
def test_the_task_is_what_most_objects_allow(masks: int, crowds: int, task: str) -> None:
    assert dataset(0, 0, 1, 1, masks=masks, crowds=crowds).natural_task == task


def test_a_set_without_objects_is_for_detection() -> None:
    assert Dataset((), ()).natural_task == "detect"
    assert not Dataset((), ()).has_masks


def test_renumbering_moves_objects_with_their_names() -> None:
    before = dataset(0, 1, 2)
    after = renumber(before, ["cow", "cat", "dog"])
    assert after.names == ["cow", "cat", "dog"]
    assert [i.category for i in after.instances()] == [1, 2, 0]
    assert after.categories[2].supercategory == "animal"
    assert after.objects_per_class() == {"cow": 1, "cat": 1, "dog": 1}
    assert renumber(after, before.names) == before


def test_renumbering_merges_names_and_drops_unused_ones() -> None:
    merged = renumber(dataset(0, 1), ["dog"], {"cat": "dog", "cow": "dog"})
    assert merged.objects_per_class() == {"dog": 2}
    assert renumber(dataset(0, 1), ["dog", "cat"]).names == ["dog", "cat"]
    with pytest.raises(KeyError, match="dog"):
        renumber(dataset(0, 1), ["cat", "cow"])


def test_an_index_hands_out_ids_in_the_order_of_meeting() -> None:
    index = CategoryIndex(["a", "b"])
    assert [index.add("b"), index.add("c", "letter"), index.add("a")] == [1, 2, 0]
    assert index.get("c") == 2
    assert index.get("z") is None
    assert index.categories() == (Category("a"), Category("b"), Category("c", "letter"))
