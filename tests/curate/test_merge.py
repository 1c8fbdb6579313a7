"""Several data sets as one: nothing lost, nothing twice, conflicts named."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Report
from detect_tl.curate.folder import Recipe
from detect_tl.curate.merge import Merged, merge_folders, merge_reads
from detect_tl.formats.detect import ReadResult, read_dataset
from tests.formats.makers import coco, image, voc, voc_object
from tests.formats.worlds import World, worlds

CAT, DOG = voc_object("cat", 10, 20, 30, 40), voc_object("dog", 50, 10, 90, 70)


def as_read(dataset: Dataset, root: Path) -> ReadResult:
    return ReadResult(dataset, Report(), "voc", "made up", (), root)


def merge(*folders: Path, **same: str) -> Merged:
    return merge_reads([read_dataset(folder) for folder in folders], folders, same)


@given(one=worlds(masked=True), two=worlds(masked=True))
@settings(max_examples=15, deadline=None)
def test_data_sets_without_a_common_image_add_up(
    one: World, two: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("worlds")
    first, second = one.put(folder / "1"), two.put(folder / "2")
    for place, sample in enumerate((*first.samples, *second.samples)):
        with sample.image.open("ab") as stream:  # no two images are the same
            stream.write(place.to_bytes(2, "big"))
    reads = [as_read(first, folder / "1"), as_read(second, folder / "2")]
    merged = merge_reads(reads, [folder / "1", folder / "2"], {})
    assert len(merged.dataset) == len(first) + len(second)
    counts = Counter(first.objects_per_class()) + Counter(second.objects_per_class())
    assert +Counter(merged.dataset.objects_per_class()) == counts
    assert set(merged.dataset.names) == {*first.names, *second.names}
    assert [s.split for s in merged.dataset.samples] == [
        s.split for s in (*first.samples, *second.samples)
    ]
    assert not merged.report.lost


@given(one=worlds(masked=True))
@settings(max_examples=10, deadline=None)
def test_a_data_set_merged_with_itself_is_itself(
    one: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("world")
    made = one.put(folder)
    for place, sample in enumerate(made.samples):
        with sample.image.open("ab") as stream:
            stream.write(place.to_bytes(2, "big"))
    merged = merge_reads([as_read(made, folder)] * 2, [folder] * 2, {})
    assert merged.dataset == made
    assert not merged.report.lost
    assert merged.report.changed["images-united"] == len(made)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two accounts of one image, a.jpg, and an image of its own each, both called b.jpg."""
    one, other = tmp_path / "one", tmp_path / "other"
    image(one / "a.jpg")
    voc(one / "a.xml", "a.jpg", CAT, DOG)
    image(one / "b.jpg")
    voc(one / "b.xml", "b.jpg", CAT)
    image(other / "pictures/a.jpg")
    image(other / "pictures/b.jpg", size=(50, 40))
    objects = [
        {"image_id": 1, "category_id": 1, "bbox": [9.5, 19.5, 20.5, 20.5]},  # the cat, by a hair
        {"image_id": 1, "category_id": 1, "bbox": [50, 10, 40, 60]},  # no dog
        {"image_id": 1, "category_id": 2, "bbox": [1, 1, 5, 5]},
        {"image_id": 2, "category_id": 2, "bbox": [1, 1, 5, 5]},
    ]
    names = [(1, "pictures/a.jpg"), (2, "pictures/b.jpg")]
    coco(other / "all.json", names, objects, [(1, "cat"), (2, "bird")])
    return one, other


def test_accounts_of_one_image_are_united(two: tuple[Path, Path]) -> None:
    merged = merge(*two)
    assert merged.dataset.names == ["cat", "dog", "bird"]
    assert merged.dataset.objects_per_class() == {"cat": 2, "dog": 1, "bird": 2}
    assert merged.report.changed["images-united"] == 1
    assert merged.report.changed["objects-united"] == 1
    assert merged.report.changed["objects-added-to-known-images"] == 1
    assert merged.report.lost["objects-in-conflict"] == 1
    conflict = next(f for f in merged.report.findings if f.code == "merge.conflict")
    assert "cat at [50, 10, 90, 70] is dog in a.xml" in conflict.message
    assert conflict.path == two[1] / "all.json"
    (both,) = (found for found in merged.sources.values() if len(found) == 2)
    assert both == [
        {"source": "one", "image": "a.jpg"},
        {"source": "other", "image": "pictures/a.jpg"},
    ]


def test_a_mask_joins_the_box_of_the_same_object(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    image(one / "a.jpg")
    voc(one / "a.xml", "a.jpg", voc_object("cat", 11, 21, 30, 40))
    image(other / "a.jpg")
    outline = [[10, 20, 30, 20, 30, 40, 10, 40]]
    found = {"image_id": 1, "category_id": 1, "bbox": [10, 20, 20, 20], "segmentation": outline}
    coco(other / "all.json", [(1, "a.jpg")], [found], [(1, "cat")])
    merged = merge(one, other)
    (item,) = merged.dataset.instances()
    assert item.mask is not None
    assert merged.report.changed["masks-added-to-boxes"] == 1


def test_classes_become_others_as_asked(two: tuple[Path, Path]) -> None:
    merged = merge(*two, bird="animal", dog="animal")
    assert merged.dataset.objects_per_class() == {"cat": 2, "animal": 3}
    assert merged.report.changed["classes-renamed"] == 2
    with pytest.raises(UsageError, match="no data set has a class 'brid'") as caught:
        merge(*two, brid="animal")
    assert "bird" in caught.value.hint


def test_spellings_are_named_and_not_united(tmp_path: Path) -> None:
    for name in ("Cat", "cat"):
        image(tmp_path / name / f"{name}.jpg")
        voc(tmp_path / name / "a.xml", f"{name}.jpg", voc_object(name, 1, 1, 9, 9))
    merged = merge(tmp_path / "Cat", tmp_path / "cat")
    assert merged.dataset.names == ["Cat", "cat"]
    assert merged.report.count("class.case-variant") == 1


def test_an_image_in_two_splits_goes_to_the_first(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / split / split / "a.jpg")
        voc(tmp_path / split / split / "a.xml", "a.jpg", CAT)
    merged = merge(tmp_path / "train", tmp_path / "val")
    assert [s.split for s in merged.dataset.samples] == ["train"]
    assert merged.report.count("split.overlap") == 1


def test_the_folder_tells_where_each_image_came_from(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    made = merge_folders(two, tmp_path / "both", same={"bird": "cat"})
    assert made.dataset.objects_per_class() == {"cat": 4, "dog": 1}
    told = json.loads((tmp_path / "both/provenance.json").read_text())
    assert [entry["format"] for entry in told["sources"]] == ["voc", "coco"]
    assert told["options"]["map"] == {"bird": "cat"}
    names = {sample.image.name for sample in made.dataset.samples}
    assert len(names) == 3  # both b.jpg are there, under names of their own
    assert {key.partition("/")[2] for key in told["images"]} == names
    again = merge_folders(two, tmp_path / "again", same={"bird": "cat"})
    for path in (tmp_path / "both").rglob("*"):
        if path.is_file():
            other = tmp_path / "again" / path.relative_to(tmp_path / "both")
            assert path.read_bytes() == other.read_bytes()
    assert again.report.changed == made.report.changed


def test_what_cannot_be_merged_leaves_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one data set cannot be merged"):
        merge_folders(two[:1], tmp_path / "both")
    with pytest.raises(UsageError, match="lies inside the source"):
        merge_folders(two, two[1] / "both")
    with pytest.raises(DataError, match="no such file or folder"):
        merge_folders([two[0], tmp_path / "none"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_two_formats_of_one_real_set_are_one(shared: Path) -> None:
    folders = [shared / "data/coco_fruitnuts", shared / "data/labelme_fruitnuts"]
    merged = merge(*folders)
    assert len(merged.dataset) == 18
    assert merged.dataset.objects_per_class() == {"date": 71, "fig": 41, "hazelnut": 53}
    assert merged.report.changed["objects-united"] == 165
    assert not merged.report.lost


@given(one=worlds(masked=False), two=worlds(masked=False))
@settings(max_examples=10, deadline=None)
def test_a_class_that_a_data_set_does_not_know_was_not_looked_for_in_its_images(
    one: World, two: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("worlds")
    first, second = one.put(folder / "1"), two.put(folder / "2")
    for place, sample in enumerate((*first.samples, *second.samples)):
        with sample.image.open("ab") as stream:
            stream.write(place.to_bytes(2, "big"))
    reads = [as_read(first, folder / "1"), as_read(second, folder / "2")]
    merged = merge_reads(reads, [folder / "1", folder / "2"], {}, first=["kept"])
    assert merged.dataset.names[0] == "kept"
    for made, start in ((first, 0), (second, len(first))):
        strange = {*merged.dataset.names} - {*made.names}
        for sample in merged.dataset.samples[start : start + len(made)]:
            assert {merged.dataset.names[k] for k in sample.not_exhaustive} == strange


def test_what_two_data_sets_know_together_was_looked_for_in_their_common_image(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    united = merge(*two)
    merged = united.dataset
    known = {folder.name: set(read_dataset(folder).dataset.names) for folder in two}
    open_: Counter[frozenset[str]] = Counter()
    for sample in merged.samples:
        looked_for = set().union(*(known[at["source"]] for at in united.sources[sample.image]))
        strange = frozenset(merged.names[k] for k in sample.not_exhaustive)
        assert strange == set(merged.names) - looked_for
        open_[strange] += 1
    merge_folders(two, tmp_path / "out")
    again = read_dataset(tmp_path / "out").dataset
    written = (frozenset(again.names[k] for k in s.not_exhaustive) for s in again.samples)
    assert Counter(written) == open_


def test_a_format_that_cannot_say_it_counts_it_as_lost(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    kept = merge_folders(two, tmp_path / "coco").report
    lost = merge_folders(two, tmp_path / "yolo", recipe=Recipe(to=("yolo",))).report
    assert not kept.lost["lists-of-classes-not-exhaustive"]
    count = sum(bool(s.not_exhaustive) for s in merge(*two).dataset.samples)
    assert lost.lost["lists-of-classes-not-exhaustive"] == count
