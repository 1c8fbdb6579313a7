"""Data sets divided anew: folders, folds, and the balance they report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError, UsageError
from detect_tl.curate.convert import convert
from detect_tl.curate.folder import Recipe
from detect_tl.curate.resplit import split_dataset
from detect_tl.formats.detect import read_dataset
from tests.formats.makers import image, voc, voc_object

CAT, DOG = voc_object("cat", 10, 20, 30, 40), voc_object("dog", 50, 10, 90, 70)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Thirty frames of six videos, cats everywhere and dogs in every second frame."""
    source = tmp_path / "source"
    for clip in "abcdef":
        for frame in range(5):
            stem = f"{clip}_{frame:03}"
            image(source / f"{stem}.jpg")
            voc(source / f"{stem}.xml", f"{stem}.jpg", CAT, *([DOG] if frame % 2 else []))
    return source


def of_splits(folder: Path) -> dict[str, set[str]]:
    return {p.name: {f.stem for f in p.iterdir()} for p in (folder / "images").iterdir()}


def test_the_folder_is_divided_as_asked(clips: Path, tmp_path: Path) -> None:
    made = split_dataset(clips, tmp_path / "out", sizes=(20, 5, 5))
    found = of_splits(tmp_path / "out")
    assert {split: len(names) for split, names in found.items()} == {
        "train": 20,
        "val": 5,
        "test": 5,
    }
    assert len(set.union(*found.values())) == 30
    (balance,) = made.balances
    told = json.loads((tmp_path / "out/report.json").read_text())
    assert told["balance"] == json.loads(json.dumps(balance.as_json()))
    assert balance.images == {"train": 2 / 3, "val": 1 / 6, "test": 1 / 6}
    assert balance.deviations["cat"] == pytest.approx(0)
    again = split_dataset(clips, tmp_path / "again", sizes=(20, 5, 5))
    assert of_splits(tmp_path / "again") == found
    assert again.balances == made.balances
    other = split_dataset(clips, tmp_path / "other", sizes=(20, 5, 5), seed=1)
    assert other.balances[0].images == balance.images
    assert of_splits(tmp_path / "other") != found


def test_videos_are_never_cut(clips: Path, tmp_path: Path) -> None:
    split_dataset(clips, tmp_path / "out", sizes=(0.5, 0.5), group_by="video")
    found = of_splits(tmp_path / "out")
    videos = [{name[0] for name in names} for names in found.values()]
    assert not videos[0] & videos[1]
    # what was divided is divided again by the same rule
    split_dataset(tmp_path / "out", tmp_path / "again", sizes=(0.5, 0.5), group_by=r"(\w)_\d+")
    found = of_splits(tmp_path / "again")
    videos = [{name[0] for name in names} for names in found.values()]
    assert not videos[0] & videos[1]


def test_groups_too_large_for_a_split_are_named(clips: Path, tmp_path: Path) -> None:
    (made,) = split_dataset(clips, tmp_path / "out", group_by="([abc])_").written
    uneven = [f for f in made.report.findings if f.code == "split.uneven"]
    assert not uneven  # three large groups in train, and the rest one by one
    (made,) = split_dataset(clips, tmp_path / "two", sizes=(0.9, 0.1), group_by="video").written
    uneven = [f for f in made.report.findings if f.code == "split.uneven"]
    assert uneven
    assert "the largest of 5 images" in uneven[0].message
    with pytest.raises(DataError, match="all 30 images belong to one group"):
        split_dataset(clips, tmp_path / "none", group_by="folder")
    assert not (tmp_path / "none").exists()


def test_folds_are_data_sets_of_their_own(clips: Path, tmp_path: Path) -> None:
    made = split_dataset(clips, tmp_path / "out", folds=3, group_by="video")
    assert [written.folder for written in made.written] == [
        tmp_path / "out" / f"fold-{k}" for k in (1, 2, 3)
    ]
    parts = [of_splits(written.folder) for written in made.written]
    assert all(fold["train"] | fold["val"] == parts[0]["train"] | parts[0]["val"] for fold in parts)
    assert len(set.union(*(fold["val"] for fold in parts))) == 30
    for written in made.written:
        back = read_dataset(written.folder).dataset
        assert [s.image for s in back.samples] == [s.image for s in written.dataset.samples]
        assert len(back) == 30


def test_what_cannot_be_divided_leaves_nothing(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="6 groups of images cannot be divided into 7 folds"):
        split_dataset(clips, tmp_path / "out", folds=7, group_by="video")
    with pytest.raises(UsageError, match="asks for 31 images; there are 30"):
        split_dataset(clips, tmp_path / "out", sizes=(30, 1))
    with pytest.raises(UsageError, match="unknown way to link"):
        split_dataset(clips, tmp_path / "out", recipe=Recipe(link="sym"))  # type: ignore[arg-type]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


def test_convert_keeps_groups_together_too(clips: Path, tmp_path: Path) -> None:
    convert(clips, tmp_path / "out", split=(0.5, 0.5), group_by="video")
    videos = [{name[0] for name in names} for names in of_splits(tmp_path / "out").values()]
    assert not videos[0] & videos[1]
    with pytest.raises(UsageError, match="--group-by has no effect"):
        convert(tmp_path / "out", tmp_path / "again", group_by="video")
