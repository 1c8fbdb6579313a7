"""Leaving out what is not wanted: counted by reason, and the rest untouched."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings, strategies as st

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Size
from detect_tl.curate.filter import Wanted, filter_dataset, filter_folder
from tests.formats.makers import image, voc, voc_object

NAMES = ("ant", "bee", "cat")

boxes = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40))


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    samples = []
    for place in range(draw(st.integers(1, 6))):
        items = tuple(
            Instance(draw(st.integers(0, 2)), Box.from_xywh(*box), iscrowd=draw(st.booleans()))
            for box in draw(st.lists(boxes, max_size=5))
        )
        split = draw(st.sampled_from(["train", "val", "test", None]))
        samples.append(Sample(Path(f"in/{place}.jpg"), Size(100, 100), items, split))
    return Dataset(tuple(map(Category, NAMES)), tuple(samples))


wishes = st.builds(
    Wanted,
    classes=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
    drop_classes=st.lists(st.sampled_from(NAMES), max_size=1),
    min_size=st.sampled_from([0, 10, 25]),
    max_objects=st.none() | st.integers(0, 3),
    splits=st.lists(st.sampled_from(["train", "val"]), max_size=1),
    images=st.sampled_from([(), ("[0-2].jpg",), ("in/1.jpg",)]),
    drop_images=st.sampled_from([(), ("1.*",)]),
    with_objects=st.booleans(),
)


@given(made=datasets(), wanted=wishes)
@settings(max_examples=150, deadline=None)
def test_what_is_kept_and_what_is_counted_is_all(made: Dataset, wanted: Wanted) -> None:
    assume(wanted.as_json())
    report = Report()
    try:
        kept = filter_dataset(made, wanted, report)
    except DataError:  # nothing is left, and what went is counted all the same
        kept = Dataset((), ())
    lost = report.lost
    gone = sum(n for reason, n in lost.items() if reason.startswith("images-"))
    assert len(kept) + gone == len(made)
    dropped = sum(n for reason, n in lost.items() if reason.startswith("objects-"))
    assert sum(1 for _ in kept.instances()) + dropped == sum(1 for _ in made.instances())
    assert all(lost.values())
    before = {sample.image: sample for sample in made.samples}
    for sample in kept.samples:
        was = before[sample.image]
        assert (sample.size, sample.split) == (was.size, was.split)
        named = [(kept.names[i.category], i.box, i.iscrowd) for i in sample.instances]
        known = [(made.names[i.category], i.box, i.iscrowd) for i in was.instances]
        assert not Counter(named) - Counter(known)


@given(made=datasets(), name=st.sampled_from(NAMES))
@settings(max_examples=60, deadline=None)
def test_a_class_and_all_others_are_the_whole(made: Dataset, name: str) -> None:
    one = filter_dataset(made, Wanted(classes=[name]), Report())
    rest = filter_dataset(made, Wanted(drop_classes=[name]), Report())
    assert one.names == [name]
    assert rest.names == [other for other in NAMES if other != name]
    assert {**one.objects_per_class(), **rest.objects_per_class()} == made.objects_per_class()
    assert len(one) == len(rest) == len(made)


@given(made=datasets(), pattern=st.sampled_from(["0.jpg", "[1-3]*", "in/*"]))
@settings(max_examples=60, deadline=None)
def test_images_of_a_name_and_all_others_are_the_whole(made: Dataset, pattern: str) -> None:
    found = set()
    for wanted in (Wanted(images=[pattern]), Wanted(drop_images=[pattern])):
        try:
            found |= {s.image for s in filter_dataset(made, wanted, Report()).samples}
        except DataError:
            continue  # one of the two has them all
    assert found == {s.image for s in made.samples}


def test_crowds_are_neither_measured_nor_counted() -> None:
    small = Instance(0, Box(0, 0, 3, 3))
    crowd = replace(small, iscrowd=True)
    sample = Sample(Path("a.jpg"), Size(9, 9), (small, crowd, crowd))
    made = Dataset((Category("ant"),), (sample,))
    kept = filter_dataset(made, Wanted(min_size=5, max_objects=0), Report())
    assert list(kept.instances()) == [crowd, crowd]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(), "nothing to filter by"),
        (Wanted(classes=["cow"]), "no class 'cow'"),
        (Wanted(drop_classes=["be"]), "no class 'be'"),
        (Wanted(splits=["dev"]), "no split 'dev'"),
    ],
)
def test_wishes_that_cannot_be_met(wanted: Wanted, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        filter_dataset(Dataset(tuple(map(Category, NAMES)), ()), wanted, Report())


def test_the_folder_holds_what_is_wanted(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for split in ("train", "val"):
        image(source / split / f"{split}.jpg")
        objects = voc_object("cat", 10, 20, 30, 40), voc_object("dog", 5, 5, 9, 9)
        voc(source / split / f"{split}.xml", f"{split}.jpg", *objects)
    made = filter_folder(source, tmp_path / "out", Wanted(classes=("cat",), splits=("val",)))
    assert made.dataset.objects_per_class() == {"cat": 1}
    assert [p.name for p in (tmp_path / "out/images").iterdir()] == ["val"]
    assert made.report.lost["objects-of-other-classes"] == 1
    assert made.report.lost["images-of-other-splits"] == 1
    with pytest.raises(DataError, match=r"no image is left \(images-without-objects 2"):
        filter_folder(source, tmp_path / "none", Wanted(min_size=90, with_objects=True))
    assert not (tmp_path / "none").exists()
