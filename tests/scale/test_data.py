"""Data sets checked and converted by Ray: what comes out is what comes out without it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from detect_tl import api
from detect_tl.cli.app import app
from detect_tl.core.errors import DataError, MachineError
from detect_tl.core.parallel import spread
from detect_tl.core.shard_size import ShardSize
from detect_tl.curate import placing
from detect_tl.curate.checks import apart
from detect_tl.scale import data as room
from detect_tl.scale.cluster import Cluster, connected
from detect_tl.scale.spread import on_ray
from tests.conftest import ROOT
from tests.curate.messy import messy
from tests.curate.test_checks_apart import in_shards
from tests.curate.test_convert import files

SAMPLE = ROOT / "datasets" / "sample"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray() -> Iterator[Cluster]:
    """A Ray of two cores in this process; `connected` finds it and leaves it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detect_tl.scale.cluster.cores", lambda: 2)
        with connected() as cluster:
            yield cluster


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_DECODED_TOGETHER", 9)
    monkeypatch.setattr(placing, "_TOGETHER", 9)


def assert_same_findings(data: Path) -> None:
    here, there = api.check(data), room.check(data)
    assert orjson.dumps(there.as_json()) == orjson.dumps(here.as_json())


@pytest.mark.usefixtures("ray", "_small_parts")
def test_a_folder_and_its_shards_are_checked_alike(tmp_path: Path) -> None:
    bad = messy(tmp_path / "in", 1)
    assert_same_findings(bad)
    assert_same_findings(in_shards(bad, tmp_path / "shards"))


@pytest.mark.usefixtures("ray", "_small_parts")
def test_a_real_set_is_checked_alike(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "coco_coco128_0hye"
    assert_same_findings(in_shards(data, tmp_path / "shards", images=20))


@pytest.mark.usefixtures("ray", "_small_parts")
@pytest.mark.parametrize("to", [["yolo", "coco"], ["webdataset"], ["coco", "voc", "webdataset"]])
def test_what_is_written_is_the_same_to_the_byte(tmp_path: Path, to: list[str]) -> None:
    size = ShardSize(images=20) if "webdataset" in to else None
    api.convert(SAMPLE, tmp_path / "here", to=to, shard_size=size)
    room.convert(SAMPLE, tmp_path / "there", to=to, shard_size=size)
    assert files(tmp_path / "there") == files(tmp_path / "here")


@pytest.mark.usefixtures("ray", "_small_parts")
def test_shards_become_a_folder_and_other_shards(tmp_path: Path) -> None:
    size = ShardSize(images=20)
    api.convert(SAMPLE, tmp_path / "in", to=["webdataset"], shard_size=size)
    for to, size_ in ((["yolo"], None), (["webdataset"], ShardSize(size=300_000))):
        here, there = tmp_path / f"here-{to[0]}", tmp_path / f"there-{to[0]}"
        api.convert(tmp_path / "in", here, to=to, shard_size=size_)
        room.convert(tmp_path / "in", there, to=to, shard_size=size_)
        assert files(there) == files(here)


@pytest.mark.usefixtures("ray", "_small_parts")
def test_the_commands_take_an_engine(tmp_path: Path) -> None:
    bad = messy(tmp_path / "in", 4)
    told = [
        CliRunner().invoke(app, ["check", str(bad), "--json", "-q", "--engine", engine])
        for engine in ("local", "ray")
    ]
    assert [done.exit_code for done in told] == [1, 1]
    assert told[0].stdout == told[1].stdout
    for engine in ("local", "ray"):
        words = ["convert", str(bad), str(tmp_path / engine), "--to", "webdataset", "--engine"]
        done = CliRunner().invoke(app, [*words, engine, "--shard-size", "10", "-q"])
        assert done.exit_code == 0, done.output
    assert files(tmp_path / "ray") == files(tmp_path / "local")


@pytest.mark.usefixtures("ray")
def test_ray_data_reads_the_shards(tmp_path: Path) -> None:
    """With its own reader, as any program that uses it would."""
    from ray.data import read_webdataset

    written = api.convert(SAMPLE, tmp_path / "out", to=["webdataset"])
    rows = read_webdataset(str(written.folder / "shards"), decoder=None).take_all()
    told = [orjson.loads(row["json"]) for row in rows]
    assert len(rows) == sum(written.splits.values())
    by_name = {path.name: path.read_bytes() for path in (SAMPLE / "images").glob("*.jpg")}
    assert {record["file_name"]: row["jpg"] for record, row in zip(told, rows, strict=True)} == (
        by_name
    )


@pytest.mark.usefixtures("ray")
def test_relative_paths_mean_the_same_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messy(tmp_path / "in", 2, count=12)
    monkeypatch.chdir(tmp_path)
    assert_same_findings(Path("in"))
    for source in (Path("in"), tmp_path / "in"):
        room.convert(source, Path("out"), to=["yolo"])
        api.convert(source, Path("here"), to=["yolo"])
        assert files(Path("out")) == files(Path("here"))
        shutil.rmtree("out")
        shutil.rmtree("here")


@pytest.mark.usefixtures("ray")
def test_errors_arrive_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        room.check(tmp_path / "nothing")
    with on_ray(None, [], None), pytest.raises(ZeroDivisionError):
        list(spread(_divided, [1, 0]))
    with on_ray(None, [], None), pytest.raises(MachineError, match="has no /no/such/file") as told:
        list(spread(_opened, ["/no/such/file"]))
    assert "network drive" in told.value.hint
    there = tmp_path / "there"
    there.mkdir()
    with on_ray(None, [there], None):
        there.rmdir()  # as on a node that does not share the folder
        with pytest.raises(MachineError, match=f"has no {there}"):
            list(spread(_divided, [1]))


def _divided(number: int) -> float:
    return 1 / number


def _opened(path: str) -> bytes:
    return Path(path).read_bytes()
