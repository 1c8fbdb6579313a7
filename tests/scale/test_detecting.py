"""What an actor does with a shard, without Ray: the lines of one machine, and no image lost."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from detect_tl import api
from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.runtime.config import DetectorConfig
from detect_tl.runtime.wanted import Wanted
from detect_tl.scale.detecting import Answer, ShardDetector, Work
from detect_tl.scale.images import images_of, survey
from detect_tl.scale.model_files import pack_model
from detect_tl.scale.records import as_parquet, chosen_kinds
from detect_tl.scale.shards import Shard, shards_left
from tests.runtime.colour_model import colour_model
from tests.scale.conftest import coloured

BACKEND = "onnxruntime"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("images"), 23)


def work(model: Path, **settings: object) -> Work:
    config = DetectorConfig.parse({"backend": BACKEND, **settings})
    return Work(model=pack_model(model, config, None).packed, root="", kinds=("jsonl", "parquet"))


def answers(model: Path, folder: Path, size: int, **more: object) -> list[Answer]:
    images = images_of(folder)
    job = replace(work(model), root=survey(images).root, **more)
    detect = ShardDetector(job)
    found = [detect(shard) for shard in shards_left(images, size, frozenset())]
    detect.close()
    return found


def local_lines(model: Path, folder: Path, out: Path, **settings: object) -> bytes:
    result = api.predict(model, folder, out=out, save=["jsonl"], backend=BACKEND, **settings)
    return result.files[0].read_bytes()


@pytest.mark.parametrize("size", [1, 4, 7, 100])
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_shards_of_any_size_are_the_lines_of_one_machine(
    folder: Path, tmp_path: Path, size: int, task: str
) -> None:
    model = colour_model(tmp_path / "m.onnx", task=task)
    found = answers(model, folder, size)
    expected = local_lines(model, folder, tmp_path / "local")
    assert b"".join(answer.files["jsonl"] for answer in found) == expected
    rows = [json.loads(line) for line in expected.splitlines()]
    assert any(row["detections"] for row in rows)
    assert [row for answer in found for row in as_rows(answer.files["parquet"])] == rows
    classes = Counter(item["class"] for row in rows for item in row["detections"])
    assert sum((answer.objects for answer in found), Counter()) == classes


def as_rows(content: bytes) -> list[dict[str, object]]:
    rows = parquet.read_table(BytesIO(content)).to_pylist()
    for row in rows:
        for item in row["detections"]:
            if item["mask"] is None:
                del item["mask"]
    return rows


def test_tiles_are_those_of_one_machine(detect_model: Path, tmp_path: Path) -> None:
    images = coloured(tmp_path / "large", 3, side=160)
    found = answers(detect_model, images, 2, tiles=64)
    expected = local_lines(detect_model, images, tmp_path / "local", tiles=64)
    assert b"".join(answer.files["jsonl"] for answer in found) == expected


def test_an_image_that_fails_is_noted_and_the_others_are_done(
    detect_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = coloured(tmp_path / "images", 3)
    good = sorted(map(str, folder.rglob("*.png")))
    broken, cut = tmp_path / "broken.png", tmp_path / "cut.png"
    broken.write_bytes(b"no image")
    cut.write_bytes(Path(good[0]).read_bytes()[:20])
    monkeypatch.setattr("detect_tl.scale.detecting.MOST_PIXELS", 64 * 64)
    large = coloured(tmp_path / "large", 1, side=72) / "f0" / "00000.png"
    places = [good[0], str(tmp_path / "missing.png"), str(broken), good[1], str(cut), str(large)]
    answer = ShardDetector(work(detect_model))(Shard(3, 30, [*places, "", good[2]]))
    assert (answer.number, answer.images, answer.failed) == (3, 8, 5)
    failures = [json.loads(line) for line in answer.files["failures"].splitlines()]
    assert [failure["frame"] for failure in failures] == [31, 32, 34, 35, 36]
    assert [failure["name"] for failure in failures] == [*places[1:3], *places[4:], ""]
    words = "No such file", "not an image", "not an image", "too large: 72x72", "names no image"
    for failure, word in zip(failures, words, strict=True):
        assert word in failure["error"]
    done = [json.loads(line)["frame"] for line in answer.files["jsonl"].splitlines()]
    assert done == [30, 33, 37]


def test_a_bomb_is_too_large(detect_model: Path, tmp_path: Path) -> None:
    """A PNG that says it has 10^10 pixels."""
    image = coloured(tmp_path, 1) / "f0" / "00000.png"
    content = bytearray(image.read_bytes())
    content[16:24] = np.array([100_000, 100_000], ">u4").tobytes()
    content[29:33] = np.array([zlib.crc32(content[12:29])], ">u4").tobytes()
    image.write_bytes(bytes(content))
    answer = ShardDetector(work(detect_model))(Shard(0, 0, [str(image)]))
    assert b"too large" in answer.files["failures"]


def test_a_model_that_was_damaged_on_its_way_is_refused(detect_model: Path) -> None:
    job = work(detect_model)
    (part,) = job.model.parts
    name, content = next(iter(part.files.items()))
    wrong = replace(part, files={name: content[:-1] + b"x"})
    with pytest.raises(WeightsError, match="damaged on its way"):
        ShardDetector(replace(job, model=replace(job.model, parts=(wrong,))))


def test_weights_beside_a_model_go_with_it(
    detect_model: Path, folder: Path, tmp_path: Path
) -> None:
    import onnx

    apart = tmp_path / "apart" / "model.onnx"
    apart.parent.mkdir()
    onnx.save(
        onnx.load(str(detect_model)),
        str(apart),
        save_as_external_data=True,
        location="weights.data",
        size_threshold=100,
    )
    packed = pack_model(apart, DetectorConfig(backend=BACKEND), None).packed
    assert set(packed.parts[0].files) == {"model.onnx", "weights.data"}
    job = Work(model=packed, root="", kinds=("jsonl",))
    (apart.parent / "weights.data").unlink()  # the nodes do not see the disk of the user
    shard = Shard(0, 0, list(images_of(folder)))
    same = ShardDetector(work(detect_model))(shard).files["jsonl"]
    assert ShardDetector(job)(shard).files["jsonl"] == same


def test_labels_of_several_models_go_with_them(detect_model: Path, folder: Path) -> None:
    wanted = [Wanted(detect_model, {"red": "warm"}), Wanted(detect_model, {"blue": "cold"})]
    packed = pack_model(wanted, DetectorConfig(backend=BACKEND), None).packed
    job = Work(model=packed, root="", kinds=("jsonl",))
    found = ShardDetector(job)(Shard(0, 0, list(images_of(folder))))
    assert set(found.objects) == {"warm", "cold"}


def test_settings_are_checked_before_anything_is_sent(detect_model: Path) -> None:
    with pytest.raises(UsageError, match="no class 'purple'"):
        pack_model(detect_model, DetectorConfig(classes=["purple"]), None)


def test_kinds_are_known(tmp_path: Path) -> None:
    assert chosen_kinds(None) == ("parquet",)
    assert chosen_kinds(["jsonl", "parquet", "jsonl"]) == ("jsonl", "parquet")
    with pytest.raises(UsageError, match="does not save video"):
        chosen_kinds(["video"])
    with pytest.raises(UsageError, match="nothing is to be saved"):
        chosen_kinds([])
    assert parquet.read_table(BytesIO(as_parquet([]))).num_rows == 0
