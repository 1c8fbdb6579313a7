"""Shards in place of a folder of images: there and back again, nothing is lost."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from detect_tl.core.errors import UsageError
from detect_tl.core.shard_size import ShardSize
from detect_tl.curate.convert import convert
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import ReadOptions
from tests.conftest import ROOT
from tests.curate.test_convert import files
from tests.formats.makers import image, voc, voc_object

SAMPLE = ROOT / "datasets" / "sample"


def described(folder: Path) -> dict[str, bytes]:
    """What a data set folder holds, without the reports on how it came about."""
    return {k: v for k, v in files(folder).items() if "/" in k or k == "data.yaml"}


def there_and_back(source: Path, folder: Path) -> None:
    convert(source, folder / "straight")
    convert(source, folder / "shards", to=["webdataset"], shard_size=ShardSize(images=7))
    convert(folder / "shards", folder / "back")
    assert described(folder / "back") == described(folder / "straight")


def test_there_and_back_again_gives_the_same_folder(tmp_path: Path) -> None:
    there_and_back(SAMPLE, tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["coco_coco128_0hye", "via_balloon", "labelme_fruitnuts", "kitti3"]
)
def test_there_and_back_again_with_real_sets(shared: Path, tmp_path: Path, name: str) -> None:
    there_and_back(shared / "data" / name, tmp_path)


def test_the_folder_holds_shards_and_no_images(tmp_path: Path) -> None:
    result = convert(SAMPLE, tmp_path / "out", to=["webdataset"], shard_size=ShardSize(size=10**6))
    assert sorted(p.name for p in result.folder.iterdir()) == [
        "provenance.json",
        "report.html",
        "report.json",
        "shards",
        "shards.json",
    ]
    contents = set()
    for path in (result.folder / "shards").glob("*.tar"):
        with tarfile.open(path) as archive:
            pictures = [m for m in archive.getmembers() if m.name.endswith(".jpg")]
            assert sum(m.size for m in pictures) <= 10**6
            for member in pictures:
                stream = archive.extractfile(member)
                assert stream is not None
                contents.add(stream.read())
    assert contents == {sample.image.read_bytes() for sample in result.dataset.samples}
    assert b'"report"' not in contents
    assert "data:image" in (result.folder / "report.html").read_text()


def test_the_source_is_told(tmp_path: Path) -> None:
    for folder in ("train", "val"):
        image(tmp_path / f"in/{folder}/a.jpg")
        voc(tmp_path / f"in/{folder}/a.xml", "a.jpg", voc_object("cat", 10, 20, 30, 40))
    convert(tmp_path / "in", tmp_path / "out", to=["webdataset"])
    told = b"".join(path.read_bytes() for path in (tmp_path / "out/shards").glob("*.tar"))
    assert told.count(b'"file_name":"train_a.jpg","source":"train/a.jpg"') == 1
    assert told.count(b'"file_name":"val_a.jpg","source":"val/a.jpg"') == 1


def test_shards_beside_a_folder_hold_the_same(tmp_path: Path) -> None:
    convert(SAMPLE, tmp_path / "out", to=["yolo", "coco", "webdataset"])
    prepared = read_dataset(tmp_path / "out")
    shards = read_dataset(tmp_path / "out", options=ReadOptions("webdataset"))
    assert prepared.format == "prepared"
    assert [s.image for s in shards.dataset.samples] == [s.image for s in prepared.dataset.samples]
    assert not shards.report.changed["images-unpacked"]
    for one, other in zip(shards.dataset.samples, prepared.dataset.samples, strict=True):
        assert [item.category for item in one.instances] == [
            item.category for item in other.instances
        ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": ["webdataset"], "link": "hard"}, "--link hard has no effect"),
        ({"to": ["yolo"], "shard_size": ShardSize(5)}, "--shard-size has no effect"),
    ],
)
def test_options_without_effect_are_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        convert(SAMPLE, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5000", ShardSize(images=5000)),
        ("500MB", ShardSize(size=500_000_000)),
        ("2gb", ShardSize(size=2_000_000_000)),
        (" 10 kB", ShardSize(size=10_000)),
    ],
)
def test_sizes_are_images_or_bytes(text: str, size: ShardSize) -> None:
    assert ShardSize.parsed(text) == size
    assert ShardSize.parsed(str(size)) == size


@pytest.mark.parametrize("text", ["", "0", "-5", "1.5GB", "many", "5TB", "0MB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no number of images"):
        ShardSize.parsed(text)
