"""Shards: what other programs find in them, and what becomes of damaged and hostile ones."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Size
from detect_tl.formats.base import Sharding
from detect_tl.formats.webdataset.tar import members
from detect_tl.formats.webdataset.write import sharded, write
from tests.formats.makers import image, read, shard

RECORD = {
    "file_name": "a.jpg",
    "split": "train",
    "width": 100,
    "height": 80,
    "objects": [{"category": "cat", "xyxy": [10, 10, 40, 60]}],
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return image(tmp_path_factory.mktemp("picture") / "a.jpg").read_bytes()


def made(folder: Path, count: int, split: str = "train") -> Dataset:
    samples = [
        Sample(
            image(folder / f"images/{split}/{k}.jpg", (100 + k, 80)),
            Size(100 + k, 80),
            (Instance(0, Box(1.25, 2, 30, 40.5), attributes={"number": k}),),
            split,
        )
        for k in range(count)
    ]
    return Dataset((Category("cat", "animal"), Category("dog")), tuple(samples))


def test_other_programs_find_pictures_and_dicts(tmp_path: Path) -> None:
    written = made(tmp_path, 3)
    write(written, tmp_path, Report(), "detect")
    with tarfile.open(tmp_path / "shards/train-000000.tar") as archive:
        names = archive.getnames()
        assert names == [f"{k:09}.{end}" for k in range(3) for end in ("jpg", "json")]
        for sample, (picture, record) in zip(
            written.samples, zip(names[::2], names[1::2], strict=True), strict=True
        ):
            content = archive.extractfile(picture)
            assert content is not None
            assert content.read() == sample.image.read_bytes()
            described = archive.extractfile(record)
            assert described is not None
            value = json.load(described)
            assert (value["file_name"], value["split"]) == (sample.image.name, "train")
            assert (value["width"], value["height"]) == sample.size
            assert value["objects"][0]["xyxy"] == [1.25, 2, 30, 40.5]


@pytest.mark.parametrize(
    ("sharding", "counts"),
    [
        (Sharding(images=2), [2, 2, 1]),
        (Sharding(images=1), [1] * 5),
        (Sharding(images=5), [5]),
        (Sharding(size=1), [1] * 5),  # a picture is never cut
        (Sharding(size=10**9), [5]),
    ],
)
def test_shards_are_as_large_as_asked_for(
    tmp_path: Path, sharding: Sharding, counts: list[int]
) -> None:
    sharded(made(tmp_path, 5), tmp_path, Report(), "detect", sharding)
    files = sorted((tmp_path / "shards").glob("*.tar"))
    found = []
    for path in files:
        with path.open("rb") as stream:
            found.append(sum(m.name.endswith(".jpg") for m in members(stream)))
    assert found == counts
    back = read(tmp_path)
    assert [s.image.name for s in back.dataset.samples] == [f"{k}.jpg" for k in range(5)]


def test_the_same_data_set_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write(made(tmp_path / name, 3), tmp_path / name, Report(), "detect")
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / n / "shards").iterdir()} for n in "ab"
    )
    assert first == second


def test_pictures_are_unpacked_where_none_lie_beside(tmp_path: Path, cache: Path) -> None:
    written = made(tmp_path / "set", 2)
    contents = [s.image.read_bytes() for s in written.samples]
    write(written, tmp_path / "set", Report(), "detect")
    for sample in written.samples:
        sample.image.unlink()
    result = read(tmp_path / "set")
    assert [s.image.read_bytes() for s in result.dataset.samples] == contents
    assert all(s.image.is_relative_to(cache) for s in result.dataset.samples)
    assert result.dataset.categories == written.categories
    assert [list(s.instances) for s in result.dataset.samples] == [
        list(s.instances) for s in written.samples
    ]
    assert read(tmp_path / "set").dataset == result.dataset


def test_the_folder_of_the_shards_may_be_named_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(made(tmp_path, 2), tmp_path, Report(), "detect")
    assert read(tmp_path / "shards").dataset.categories == read(tmp_path).dataset.categories
    monkeypatch.chdir(tmp_path / "shards")
    assert read(Path()).dataset.names == ["cat", "dog"]
    assert [path.suffix for path in Path().iterdir()] == [".tar"]


def test_without_an_index_classes_are_in_alphabetical_order(tmp_path: Path, picture: bytes) -> None:
    for number, name in enumerate(("dog", "cat")):
        record = {**RECORD, "objects": [{"category": name, "xyxy": [1, 2, 3, 4]}]}
        files = {"0.json": json.dumps(record).encode(), "0.jpg": picture}
        shard(tmp_path / f"val-{number}.tar", files)
    dataset = read(tmp_path).dataset
    assert dataset.names == ["cat", "dog"]
    assert [item.category for item in dataset.instances()] == [1, 0]


def test_the_split_is_of_the_record_else_of_the_shard(tmp_path: Path, picture: bytes) -> None:
    plain = {k: v for k, v in RECORD.items() if k != "split"}
    for name, record in (("val-0.tar", plain), ("other.tar", RECORD), ("test/x.tar", plain)):
        shard(tmp_path / name, {"0.jpg": picture, "0.json": json.dumps(record).encode()})
    found = {s.annotation.name: s.split for s in read(tmp_path).dataset.samples if s.annotation}
    assert found == {"val-0.tar": "val", "other.tar": "train", "x.tar": "test"}


def test_an_archive_of_something_else_is_not_recognised(tmp_path: Path, picture: bytes) -> None:
    image(tmp_path / "a.jpg")
    shard(tmp_path / "x.tar", {"0.jpg": picture, "0.json": b'{"label": 3}'})
    from detect_tl.core.errors import DataError

    with pytest.raises(DataError, match=r"1 \.tar file, but not WebDataset"):
        read(tmp_path)
