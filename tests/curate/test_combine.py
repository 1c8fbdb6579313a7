"""Several data sets, and classes to keep, as one folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.curate.combine import Replay, combine
from detect_tl.formats.detect import read_dataset
from tests.formats.makers import image, voc, voc_object

CLASSES = {"cats": ("cat", "Dog"), "cars": ("car",), "old": ("dog", "cow")}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Sets of 10 images, each with an object of every class of its own."""
    for number, (name, classes) in enumerate(CLASSES.items()):
        for k in range(10):
            picture = image(tmp_path / name / f"{name}{k}.jpg")
            with picture.open("ab") as stream:  # no two images are the same
                stream.write(bytes([number, k]))
            objects = [
                voc_object(c, 10, 10 + 20 * n, 30, 25 + 20 * n) for n, c in enumerate(classes)
            ]
            voc(picture.with_suffix(".xml"), picture.name, *objects)
    return {name: tmp_path / name for name in CLASSES}


def test_each_set_is_divided_by_itself_and_kept_classes_come_first(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    sources = [folders["cats"], folders["cars"]]
    made = combine(sources, tmp_path / "out", keep=["dog", "cow"], same={"car": "auto"})
    assert made.dataset.names == ["dog", "cow", "cat", "auto"]
    for name in ("cats", "cars"):
        mine = [s for s in made.dataset.samples if s.image.name.startswith(name)]
        assert Counter(s.split for s in mine) == {"train": 8, "val": 1, "test": 1}
    again = read_dataset(tmp_path / "out").dataset
    for sample in again.samples:
        open_ = {again.names[k] for k in sample.not_exhaustive}
        is_cat = sample.image.name.startswith("cats")
        assert open_ == ({"cow", "auto"} if is_cat else {"dog", "cow", "cat"})
    assert again.objects_per_class() == {"dog": 10, "cow": 0, "cat": 10, "auto": 10}


def test_replayed_images_are_for_training_and_show_what_is_kept(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    replay = Replay(folders["old"])
    made = combine([folders["cars"]], tmp_path / "out", keep=["cow"], replay=replay)
    old = [s for s in made.dataset.samples if s.image.name.startswith("old")]
    assert {s.split for s in old} == {"train"}
    assert len(old) == round((10 * 8) ** 0.5)  # ten old ones, eight new ones to train on
    assert made.dataset.objects_per_class() == {"cow": len(old), "car": 10}
    with pytest.raises(DataError, match="none of the classes"):
        combine([folders["cars"]], tmp_path / "other", keep=["sheep"], replay=replay)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("old", "new"), [(100, 4), (100, 900), (7, 7)])
def test_the_number_replayed_is_the_mean_of_both_but_never_more_than_there_are(
    old: int, new: int, folders: dict[str, Path]
) -> None:
    samples = read_dataset(folders["old"]).dataset
    many = type(samples)(samples.categories, samples.samples[:1] * old)
    assert len(Replay(folders["old"]).choose(many, new)) == min(round((old * new) ** 0.5), old)
