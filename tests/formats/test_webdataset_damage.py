"""Shards that are damaged or hostile: nothing is written elsewhere, and what is lost is told."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.formats.webdataset.tar import TarError, members
from tests.formats.guards import bounded
from tests.formats.makers import document, image, read, shard
from tests.formats.mutations import json_trees
from tests.formats.seeds import SEEDS
from tests.formats.test_fuzz import assert_sound
from tests.formats.test_webdataset import RECORD


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return image(tmp_path_factory.mktemp("picture") / "a.jpg").read_bytes()


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    "key",
    ["0", "deep/folder/0", "../../../0", "/etc/0", "ü" * 30, f"{'d' * 80}/{'n' * 90}", "~/0", "-0"],
)
def test_keys_of_any_kind_lead_nowhere(
    tmp_path: Path, cache: Path, picture: bytes, kind: int, key: str
) -> None:
    nameless = {k: v for k, v in RECORD.items() if k != "file_name"}
    files = {f"{key}.jpg": picture, f"{key}.json": json.dumps(nameless).encode()}
    shard(tmp_path / "in/shards/s.tar", files, format=kind, encoding="utf-8")
    result = read(tmp_path / "in")
    (sample,) = result.dataset.samples
    assert sample.image.resolve().is_relative_to(cache.resolve())
    assert sample.image.read_bytes() == picture
    assert not result.report.findings


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "/etc/a.jpg", "a/b.jpg", ".a.jpg", "a\0.jpg", "a.sh", "x" * 300 + ".jpg", "", 7],
)
def test_names_in_records_lead_nowhere(
    tmp_path: Path, cache: Path, picture: bytes, name: object
) -> None:
    record = json.dumps({**RECORD, "file_name": name}).encode()
    shard(tmp_path / "in/shards/s.tar", {"0.jpg": picture, "0.json": record})
    (sample,) = read(tmp_path / "in").dataset.samples
    assert sample.image.name == "0.jpg"
    assert sample.image.resolve().is_relative_to(cache.resolve())


def test_what_is_no_plain_file_is_passed_over(tmp_path: Path, picture: bytes) -> None:
    path = tmp_path / "in/shards/s.tar"
    path.parent.mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(picture)
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.jpg")
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("1.json"), io.BytesIO())
        folder = tarfile.TarInfo("0")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in (("0.jpg", picture), ("0.json", json.dumps(RECORD).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    result = read(tmp_path / "in")
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg"]
    assert [f.code for f in result.report.findings] == ["webdataset.no-image"]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 0.9999))
def test_a_shard_cut_off_anywhere_is_told_with_the_offset(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    SEEDS["webdataset"](folder)
    path = folder / "shards/train-000000.tar"
    whole = path.read_bytes()
    end = (
        whole.rindex(b"\0}" if b"\0}" in whole else b"}") + 1
    )  # behind it are the marks of the end
    path.write_bytes(whole[: int(end * share)])
    report = read(folder).report
    assert report.lost["images"] == 1
    damaged = [f for f in report.findings if f.code == "webdataset.damaged"]
    assert [f.path for f in damaged] == [path]
    assert "at byte" in damaged[0].message
    assert any(f.code == "webdataset.images-missing" for f in report.findings) or any(
        f.code == "webdataset.no-record" for f in report.findings
    )


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path, picture: bytes) -> None:
    files = {"0.jpg": picture, "0.json": json.dumps(RECORD).encode(), "1.jpg": picture}
    path = shard(tmp_path / "in/shards/s.tar", files)
    content = bytearray(path.read_bytes())
    at = content.index(b"1.jpg\0")
    content[at + 130] ^= 1  # a digit of its size
    path.write_bytes(content)
    result = read(tmp_path / "in")
    assert len(result.dataset) == 1
    (finding,) = result.report.findings
    assert finding.code == "webdataset.damaged"
    assert f"at byte {at}" in finding.message


@pytest.mark.parametrize(
    "size", [b"77777777777\0", b"\x80" + b"\x7f" * 11, b"-0000000001\0", b"x" * 12]
)
@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"g", b"5"])
def test_sizes_out_of_all_proportion(
    tmp_path: Path, picture: bytes, size: bytes, kind: bytes
) -> None:
    files = {"0.jpg": picture, "0.json": json.dumps(RECORD).encode(), "1.jpg": picture}
    path = shard(tmp_path / "in/shards/s.tar", files)
    content = bytearray(path.read_bytes())
    at = content.index(b"1.jpg\0")
    content[at + 124 : at + 136] = size
    content[at + 156 : at + 157] = kind
    plain = content[at : at + 148] + b" " * 8 + content[at + 156 : at + 512]
    content[at + 148 : at + 156] = b"%06o\0 " % sum(plain)
    path.write_bytes(content)
    with bounded():
        result = read(tmp_path / "in")
    assert len(result.dataset) == 1
    assert [f.code for f in result.report.findings] == ["webdataset.damaged"]


def test_what_follows_the_mark_of_the_end_is_told(tmp_path: Path, picture: bytes) -> None:
    files = {"0.jpg": picture, "0.json": json.dumps(RECORD).encode()}
    path = shard(tmp_path / "in/shards/s.tar", files)
    length = path.stat().st_size
    path.write_bytes(path.read_bytes() * 2)
    result = read(tmp_path / "in")
    assert len(result.dataset) == 1
    (finding,) = result.report.findings
    assert finding.code == "webdataset.damaged"
    assert f"at byte {length}" in finding.message


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_records_of_all_kinds(tmp_path: Path, picture: bytes, data: st.DataObject) -> None:
    """What is no record costs the picture, what is no object the object; both are told."""
    objects = [
        {"category": "cat", "xyxy": [1, 2, 3, 4], "polygons": [[1, 2, 3, 4, 5, 6]], "holes": []},
        {"category": "dog", "xyxy": [1, 2, 3, 4], "rle": {"size": [80, 100], "counts": [8000]}},
        {"category": "dog", "xyxy": [1, 2, 3, 4], "iscrowd": True, "attributes": {"a": [1]}},
    ]
    whole = {**RECORD, "source": "a.jpg", "not_exhaustive": ["cat"], "objects": objects}
    path = document(tmp_path / "record.txt", whole)
    record = data.draw(json_trees(path))
    files = {"0.jpg": picture, "0.json": record, "1.jpg": picture}
    files["1.json"] = json.dumps(RECORD).encode()
    shard(tmp_path / "in/shards/s.tar", files)
    result = read(tmp_path / "in")
    assert_sound(result)
    assert len(result.dataset) + result.report.lost["images"] == 2
    assert bool(result.report.lost) == bool(list(result.report.of("error")))
    pickle.loads(pickle.dumps(result.dataset))  # noqa: S301


def test_attributes_without_end_cost_the_object(tmp_path: Path, picture: bytes) -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900
    good, bad = ({**RECORD["objects"][0], "attributes": x} for x in ({"a": 1}, "DEEP"))  # type: ignore[index]
    record = json.dumps({**RECORD, "objects": [good, bad]}).replace('"DEEP"', deep).encode()
    for name in ("s", "t"):  # two, so that they are read in other processes
        shard(tmp_path / f"in/shards/{name}.tar", {"0.jpg": picture, "0.json": record})
    result = read(tmp_path / "in")
    assert [len(s.instances) for s in result.dataset.samples] == [1, 1]
    assert result.report.lost["objects-unreadable"] == 2


def test_a_shard_that_is_missing_is_told(tmp_path: Path) -> None:
    SEEDS["webdataset"](tmp_path)
    (tmp_path / "shards/train-000001.tar").unlink()
    report = read(tmp_path).report
    assert report.count("webdataset.shard-missing") == 1
    assert report.lost["images"] == 1


def test_members_are_those_of_tarfile(tmp_path: Path, picture: bytes) -> None:
    files = {f"{'d' * k}/{'n' * k}.jpg": picture[: k * 97] for k in range(1, 250, 31)}
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = shard(tmp_path / f"{kind}.tar", files, format=kind)
        with path.open("rb") as stream, tarfile.open(path) as archive:
            ours = [(m.name, m.start, m.size) for m in members(stream)]
            assert ours == [(m.name, m.offset_data, m.size) for m in archive.getmembers()]


def test_an_empty_file_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.touch()
    with path.open("rb") as stream, pytest.raises(TarError, match="mark of its end"):
        next(members(stream))


def test_names_that_are_taken_get_a_number(tmp_path: Path, picture: bytes) -> None:
    """Whatever names keys and records give, no picture is written over another."""
    files = {}
    for key, name in (
        ("0", "1.jpg"),
        ("1", "1.jpg"),
        ("2", "2-1.jpg"),
        ("3", "3.JPG"),
        ("4", "3.jpg"),
    ):
        files[f"{key}.jpg"] = picture + key.encode()
        files[f"{key}.json"] = json.dumps({**RECORD, "file_name": name}).encode()
    shard(tmp_path / "in/shards/s.tar", files)
    samples = read(tmp_path / "in").dataset.samples
    assert [s.image.read_bytes() for s in samples] == [picture + b"%d" % k for k in range(5)]
    assert len({s.image.name.casefold() for s in samples}) == 5
