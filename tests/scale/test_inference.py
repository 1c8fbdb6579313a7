"""Images through Ray: what one machine finds, each image once, whoever dies on the way."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from detect_tl import api
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Silent, Step
from detect_tl.scale.cluster import Cluster
from detect_tl.scale.inference import ScaledResult, predict
from tests.runtime.colour_model import colour_model
from tests.scale.conftest import coloured
from tests.scale.servers import served

pytestmark = pytest.mark.slow

COUNT = 60
BACKEND = "onnxruntime"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture
def models(two_cores: Cluster, detect_model: Path, folder: Path) -> tuple[Path, Path]:
    """A model and images for it, with a Ray of two cores."""
    return detect_model, folder


@pytest.fixture(scope="module")
def expected(folder: Path, detect_model: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The lines that one machine writes."""
    out = tmp_path_factory.mktemp("local") / "out"
    result = api.predict(detect_model, folder, out=out, save=["jsonl"], backend=BACKEND)
    return result.files[0].read_bytes()


def lines(out: Path, kind: str = "jsonl") -> bytes:
    """All shards behind one another."""
    return b"".join(path.read_bytes() for path in sorted((out / kind).iterdir()))


def scaled(model: Path, source: str | Path, out: Path, **settings: Any) -> ScaledResult:
    usual = {"save": ["jsonl"], "backend": BACKEND, "shard": 7}
    return predict(model, source, out=out, **{**usual, **settings})


@pytest.mark.parametrize(("shard", "actors"), [(7, 2), (1, 1), (100, 2)])
def test_the_lines_are_those_of_one_machine(
    models: tuple[Path, Path], expected: bytes, tmp_path: Path, shard: int, actors: int
) -> None:
    (detect_model, folder), out = models, tmp_path / "out"
    save = ["jsonl", "parquet"]
    result = scaled(detect_model, folder, out, shard=shard, actors=actors, save=save)
    assert lines(out) == expected
    rows = dataset.dataset(out / "parquet").to_table().sort_by("frame").to_pylist()
    for row in rows:
        for item in row["detections"]:
            del item["mask"]
    assert rows == [json.loads(line) for line in expected.splitlines()]
    assert (result.images, result.failed, result.before) == (COUNT, 0, 0)
    assert result.shards == -(-COUNT // shard)
    assert sum(result.objects.values()) == sum(len(row["detections"]) for row in rows)


def test_a_finished_run_is_not_done_again(
    detect_model: Path, folder: Path, tmp_path: Path, two_cores: Cluster
) -> None:
    out = tmp_path / "out"
    first = scaled(detect_model, folder, out, limit=14)
    before = {path: path.stat().st_mtime_ns for path in (out / "jsonl").iterdir()}
    again = scaled(detect_model, folder, out, limit=14)
    assert again.cluster is None
    assert (again.before, again.images, again.objects) == (14, 14, first.objects)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "jsonl").iterdir()}


def test_another_run_is_refused(
    detect_model: Path, folder: Path, tmp_path: Path, two_cores: Cluster
) -> None:
    out = tmp_path / "out"
    scaled(detect_model, folder, out, limit=7)
    other = colour_model(tmp_path / "other.onnx", box=4)
    for model, source, settings, words in (
        (other, folder, {}, "another model"),
        (detect_model, folder, {"conf": 0.5}, "conf was 0.25 and is 0.5"),
        (detect_model, folder / "f0", {}, "another source"),
        (detect_model, folder, {"limit": 8}, "other images"),
        (detect_model, folder, {"save": ["parquet"]}, "another --save"),
    ):
        with pytest.raises(UsageError, match=words):
            scaled(model, source, out, **{"limit": 7, **settings})
    assert len(lines(out).splitlines()) == 7


def test_an_engine_that_was_chosen_is_kept(
    detect_model: Path, folder: Path, tmp_path: Path, two_cores: Cluster
) -> None:
    out = tmp_path / "out"
    first = scaled(detect_model, folder, out, limit=7, backend="openvino")
    again = scaled(detect_model, folder, out, limit=7, backend="auto")
    assert (first.backend, again.backend) == ("openvino", "openvino")


@pytest.mark.parametrize(
    "settings",
    [
        {"track": True},
        {"show": True},
        {"zones": {"a": (0, 0, 1, 0, 1, 1)}},
        {"lines": {"a": (0, 0, 1, 1)}},
        {"stdin_size": (4, 4)},
        {"reconnect": 1.0},
    ],
)
def test_what_makes_no_sense_is_refused(
    detect_model: Path, folder: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="does not go with --engine ray"):
        scaled(detect_model, folder, tmp_path / "out", **settings)
    with pytest.raises(UsageError, match="cannot stream through ray://"):
        scaled(detect_model, folder, tmp_path / "out", address="ray://host:10001")
    assert not (tmp_path / "out").exists()


def test_images_that_fail_are_noted(
    detect_model: Path, folder: Path, expected: bytes, tmp_path: Path, two_cores: Cluster
) -> None:
    places: list[str | None] = [str(path) for path in sorted(folder.rglob("*.png"))]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    places[5], places[31], places[59] = str(tmp_path / "missing.png"), str(broken), None
    table = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"path": pa.array(places, pa.string())}), table)
    result = scaled(detect_model, table, tmp_path / "out")
    assert (result.images, result.failed) == (COUNT, 3)
    assert [finding.code for finding in result.findings] == ["images.failed"]
    failures = [json.loads(line) for line in lines(tmp_path / "out", "failures").splitlines()]
    assert {failure["frame"]: failure["name"] for failure in failures} == {
        5: str(tmp_path / "missing.png"),
        31: str(broken),
        59: "",
    }
    found = [json.loads(line) for line in lines(tmp_path / "out").splitlines()]
    known = [json.loads(line) for line in expected.splitlines()]
    for row, same in zip(found, [r for r in known if r["frame"] not in (5, 31, 59)], strict=True):
        assert {**row, "name": Path(row["name"]).relative_to(folder).as_posix()} == same


def test_images_come_over_http(
    detect_model: Path, folder: Path, expected: bytes, tmp_path: Path, two_cores: Cluster
) -> None:
    with served(folder) as server:
        table = tmp_path / "t.csv"
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
        rows = "".join(f"{server.address}/{name}\n" for name in names)
        table.write_text(f"url\n{rows}")
        result = scaled(detect_model, table, tmp_path / "out")
    assert (result.images, result.failed) == (COUNT, 0)
    assert lines(tmp_path / "out").decode().replace(f"{server.address}/", "") == expected.decode()


def test_a_source_that_changes_ends_the_run_with_what_is_done(
    detect_model: Path, tmp_path: Path, two_cores: Cluster
) -> None:
    folder = coloured(tmp_path / "images", 40)

    class Renames(Silent):
        """Renames a picture between the first look at all of them and the second one."""

        def step(self, text: str, total: float | None = None) -> AbstractContextManager[Step]:
            (folder / "f9").mkdir()
            (folder / "f3" / "00030.png").rename(folder / "f9" / "00030.png")
            return super().step(text, total)

    with pytest.raises(DataError, match="changed while they were read"):
        scaled(detect_model, folder, tmp_path / "out", progress=Renames())
    with pytest.raises(UsageError, match="other images"):
        scaled(detect_model, folder, tmp_path / "out")
