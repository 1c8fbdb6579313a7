"""Tracking and counting from a video file to what is written, by a model with exact answers."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest

from detect_tl.core.errors import UsageError
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.predict import predict
from detect_tl.runtime.result import PredictResult
from tests.runtime.colour_model import colour_model
from tests.runtime.conftest import picture
from tests.runtime.videos import read_video, write_video


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its boxes are three cells wide, so that those of a square that moves by one cell overlap."""
    return colour_model(tmp_path_factory.mktemp("models") / "colours.onnx", box=24)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three squares: two red ones that go right and left, and a green one that comes later."""
    frames = []
    for index in range(16):
        step = index // 2 * 8
        squares = [(step, 8, "red"), (56 - step, 32, "red")]
        if index >= 6:
            squares.append((8, 56, "green"))
        cells = [(x, y, x + 8, y + 8, colour) for x, y, colour in squares]
        frames.append(picture(64, 64, *cells))
    return write_video(tmp_path / "squares.mp4", frames)


def documents(result: PredictResult) -> list[dict]:
    (path,) = [p for p in result.files if p.suffix == ".jsonl"]
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_every_square_keeps_one_id_through_its_life(
    model: Path, video: Path, tmp_path: Path
) -> None:
    result = predict(model, video, PredictConfig(out=tmp_path / "out", conf=0.8, track=True))
    ids = defaultdict(list)
    for document in documents(result):
        numbers = [item["track_id"] for item in document["detections"]]
        given = [number for number in numbers if number is not None]
        assert len(set(given)) == len(given)
        for item in document["detections"]:
            lane = round((item["xyxy"][1] + item["xyxy"][3]) / 2) // 20
            ids[lane].append(item["track_id"])
    assert sorted(map(set, list(ids.values())[:2]), key=min) == [{1}, {2}]
    assert ids[2] == [None, *[3] * 9]  # it has its id from its second frame on
    assert result.tracks == result.as_json()["tracks"] == 3
    assert result.objects == {"red": 32, "green": 10}


def test_crossings_and_presence(model: Path, video: Path, tmp_path: Path) -> None:
    result = predict(
        model,
        video,
        PredictConfig(
            out=tmp_path / "out",
            conf=0.8,
            save=["images"],
            track=True,
            lines={"door": (36, 0, 36, 64)},
            zones={"floor": (0, 0.75, 1, 0.75, 1, 1, 0, 1)},
        ),
    )
    assert result.counts is not None
    door, floor = result.counts["lines"]["door"], result.counts["zones"]["floor"]
    # Downwards, the left hand is where x is greater: that is where the first square went.
    assert door == {"in": 1, "out": 1, "classes": {"red": {"in": 1, "out": 1}}}
    green = {"mean": 0.625, "max": 1, "distinct": 1}
    assert floor["classes"]["green"] == green
    assert result.as_json()["counts"] == result.counts
    assert [path.name for path in result.files] == ["images", "counts.csv"]
    rows = result.files[1].read_text().splitlines()
    assert rows[1:3] == ["line,door,,1,1,,,", "line,door,red,1,1,,,"]
    drawn = cv2.imread(str(result.files[0] / "squares-000000.jpg"))
    assert drawn[60, 36].min() > 150  # the line
    assert drawn[30, 2].max() < 60


def test_ids_are_drawn(model: Path, video: Path, tmp_path: Path) -> None:
    plain = predict(model, video, PredictConfig(out=tmp_path / "a", conf=0.8, save=["video"]))
    tracked = predict(
        model, video, PredictConfig(out=tmp_path / "b", conf=0.8, save=["video"], track=True)
    )
    first, second = (read_video(result.files[0])[3] for result in (plain, tracked))
    assert not np.array_equal(first, second)


def test_zones_need_no_tracking(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", picture(64, 64, (8, 8, 16, 16, "red")))[1].tobytes())
    zones = {"all": (0, 0, 1, 0, 1, 1, 0, 1)}
    result = predict(model, path, PredictConfig(conf=0.8, zones=zones))
    one = {"mean": 1.0, "max": 1}
    assert result.counts == {
        "lines": {},
        "zones": {"all": {**one, "classes": {"red": one}}},
    }
    assert result.tracks is None


def test_what_cannot_be(model: Path, video: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(cv2.imencode(".png", picture(8, 8))[1].tobytes())
    with pytest.raises(UsageError, match="separate images have no objects to follow"):
        predict(model, image, PredictConfig(track=True))
    with pytest.raises(UsageError, match="objects that are followed") as caught:
        predict(model, video, PredictConfig(lines={"door": (0, 0, 1, 1)}))
    assert "--track" in caught.value.hint
    with pytest.raises(UsageError, match="'door' leaves the picture, which is 64x64"):
        predict(
            model,
            video,
            PredictConfig(track=True, lines={"door": (0, 0, 65, 1)}, out=tmp_path / "out"),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "squares.mp4"]


def test_several_sources_are_counted_each_for_itself(
    model: Path, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"{video.name}\n{video.name}\n")
    alone = predict(
        model, video, PredictConfig(conf=0.8, track=True, lines={"door": (36, 0, 36, 64)})
    )
    both = predict(
        model,
        tmp_path / "list.txt",
        PredictConfig(
            conf=0.8,
            track=True,
            lines={"door": (36, 0, 36, 64)},
            out=tmp_path / "out",
            save=["csv"],
        ),
    )
    assert [part.counts for part in both.parts] == [alone.counts] * 2
    assert [part.tracks for part in both.parts] == [3, 3]
    assert both.tracks == 6
    assert both.counts is None
    assert both.objects == {"red": 64, "green": 20}
    names = [path.relative_to(tmp_path / "out").as_posix() for path in both.files]
    assert names == [
        "squares/detections.csv", "squares/counts.csv",
        "squares-2/detections.csv", "squares-2/counts.csv",
    ]  # fmt: skip
