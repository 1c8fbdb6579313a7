"""What a source names: in which order, and under which names."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.files import find_images
from detect_tl.runtime.sources import open_source
from detect_tl.scale.fetch import read_bytes
from detect_tl.scale.images import images_of, name_of, survey
from tests.scale.bucket import as_bucket
from tests.scale.conftest import coloured
from tests.scale.servers import served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("images"), 23)


def names(source: str | Path) -> list[str]:
    images = images_of(source)
    known = survey(images)
    found = [name_of(place, known.root) for place in images]
    assert len(found) == known.count
    return found


@pytest.mark.parametrize("source", ["", "f1", "f*/*.png", "f0/00003.png"])
def test_names_and_order_are_those_of_one_machine(folder: Path, source: str) -> None:
    assert names(folder / source) == [frame.name for frame in open_source(folder / source)]


def test_a_folder_is_read_from_where_the_user_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert list(images_of("f1")) == list(map(str, find_images(folder / "f1")))


def test_names_that_are_no_characters(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    coloured(tmp_path, 1)
    (tmp_path / "f0" / "00000.png").rename(path)
    assert list(images_of(tmp_path)) == [path]
    assert names(tmp_path) == ["?.png"]


def test_a_list_names_paths_patterns_and_addresses(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder}/f1\n# not this\nhttp://host/a.jpg\n{folder}/f0/*.png\n")
    own = [*find_images(folder / "f1"), "http://host/a.jpg", *find_images(folder / "f0")]
    assert list(images_of(listed)) == list(map(str, own))
    assert names(listed)[10] == "http://host/a.jpg"
    assert names(listed)[0] == "f1/00010.png"


def test_a_limit_is_kept(folder: Path) -> None:
    assert survey(images_of(folder, limit=7)).count == 7


def test_the_sum_depends_on_every_name_and_their_order(folder: Path, tmp_path: Path) -> None:
    rows = ["a.jpg", "b.jpg", "c.jpg"]
    sums = set()
    for k, order in enumerate((rows, rows[::-1], rows[:2], ["a.jpgb.jpg", "c.jpg"])):
        path = tmp_path / f"{k}.txt"
        path.write_text("".join(f"http://host/{name}\n" for name in order))
        sums.add(survey(images_of(path)).sha256)
    assert len(sums) == 4


ROWS = ["f0/00001.png", "/data/x.jpg", "s3://bucket/y.jpg", None, "f0/00001.png"]


def write_table(path: Path, column: str, other: str = "label") -> Path:
    if path.suffix == ".parquet":
        table = pa.table({other: list(range(5)), column: pa.array(ROWS, pa.string())})
        parquet.write_table(table, path, row_group_size=2)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([[other, column], *enumerate(ROWS)])
    else:
        path.write_text("".join(json.dumps({other: 1, column: row}) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("column", ["image_url", "path", "file_name"])
def test_every_row_of_a_table_is_an_image(tmp_path: Path, suffix: str, column: str) -> None:
    images = images_of(write_table(tmp_path / f"table{suffix}", column))
    here = str(tmp_path / "f0/00001.png")
    assert list(images) == [here, "/data/x.jpg", "s3://bucket/y.jpg", "", here]
    assert images.column == column


def test_a_column_is_asked_for_where_it_is_not_clear(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", "wo")
    with pytest.raises(UsageError, match="not clear which column") as refused:
        images_of(table)
    assert "label, wo" in refused.value.hint
    assert len(list(images_of(table, column="wo"))) == 5
    with pytest.raises(UsageError, match="no column 'wx'"):
        images_of(table, column="wx")
    with pytest.raises(UsageError, match="no table"):
        images_of(tmp_path, column="wo")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_table_that_is_none(tmp_path: Path, suffix: str) -> None:
    broken = tmp_path / f"t{suffix}"
    broken.write_bytes(b"\x00\x01{" * 9)
    with pytest.raises((DataError, UsageError)):
        images_of(broken)
    with pytest.raises(DataError, match="cannot be read as a table"):
        images_of(tmp_path / f"missing{suffix}")


@pytest.mark.parametrize("source", ["-", "0", "rtsp://host/live", "clip.mp4", "http://h/a.mkv?x=1"])
def test_what_moves_is_refused(source: str) -> None:
    with pytest.raises(UsageError, match="one after the other"):
        images_of(source)


def test_nothing_is_said_as_on_one_machine(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images in this folder"):
        images_of(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        images_of(tmp_path / "missing")


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with served(folder) as server:
        yield server.address


def test_bytes_come_over_http(folder: Path, address: str) -> None:
    assert read_bytes(f"{address}/f0/00001.png") == (folder / "f0/00001.png").read_bytes()
    with pytest.raises(DataError, match="cannot be read"):
        read_bytes(f"{address}/f0/missing.png")


def test_bytes_come_from_a_bucket_of_google(folder: Path) -> None:
    with as_bucket(folder) as options:
        here = f"gs://anonymous@any/f0/00001.png?{options}"
        assert read_bytes(here) == (folder / "f0/00001.png").read_bytes()
        with pytest.raises(DataError, match=r"No such object: f0/missing.png"):
            read_bytes(f"gs://anonymous@any/f0/missing.png?{options}")


@pytest.mark.parametrize("content", [None, "{"])
def test_credentials_that_are_missing_or_broken_end_the_run(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not every image of it for itself, after trying for a quarter of an hour."""
    file = tmp_path / "credentials.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(MachineError, match=f"no credentials for Google.*{file}") as caught:
        read_bytes(f"gs://bucket-{content is None}/a.png")
    assert "google::cloud" not in caught.value.message
    assert "gs://anonymous@" in caught.value.hint


def test_a_table_may_lie_at_an_address(folder: Path, address: str, tmp_path: Path) -> None:
    write_table(folder / "t.parquet", "url")
    assert list(images_of(f"{address}/t.parquet"))[:2] == [
        f"{address}/f0/00001.png",
        f"{address}/data/x.jpg",
    ]
    (folder / "t.parquet").unlink()


def test_any_file_system_of_fsspec_will_do() -> None:
    with fsspec.open("memory://shots/a.png", "wb") as stream:
        stream.write(b"content")
    assert read_bytes("memory://shots/a.png") == b"content"
    with pytest.raises(DataError, match="cannot be read"):
        read_bytes("memory://shots/b.png")


@pytest.mark.parametrize("place", ["", "/missing.png", "/", "http://127.0.0.1:1/a.png"])
def test_what_cannot_be_read_says_why(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detect_tl.scale.fetch._PAUSES", (0.0,))
    with pytest.raises(DataError, match=r"cannot be read|names no image"):
        read_bytes(place)
