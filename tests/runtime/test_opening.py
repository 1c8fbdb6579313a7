"""A model is opened as suits its source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Silent
from detect_tl.runtime import opening
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.opening import opened_detector
from detect_tl.runtime.predict import predict
from detect_tl.runtime.sources import open_source
from tests.runtime.videos import moving_square, write_video


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def progress(said: list[str]) -> Silent:
    show = Silent()
    show.say = said.append  # type: ignore[method-assign]
    return show


def test_engines_are_tried_where_that_pays(
    detect_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    progress: Silent,
) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(12))
    short = predict(detect_model, video, progress=progress)
    assert short.backend == "onnxruntime"
    assert not said
    monkeypatch.setattr(opening, "_WORTH_TRYING", 12)
    first = predict(detect_model, video, progress=progress)
    assert [text.partition(":")[0] for text in said] == [
        f"{first.backend} is the fastest engine here"
    ]
    again = predict(detect_model, video, progress=progress)
    assert (again.backend, len(said)) == (first.backend, 1)  # it is known from then on
    assert again.objects == short.objects
    assert again.as_json()["backend"] == first.backend


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_engine_that_is_named_is_not_tried(
    detect_model: Path, tmp_path: Path, said: list[str], progress: Silent, name: str
) -> None:
    video = open_source(write_video(tmp_path / "v.mp4", moving_square(3)))
    asked = PredictConfig(conf=0.6, classes=["red"], backend=name, track=True)
    with opened_detector(detect_model, video, asked, progress) as ready:
        assert ready.backend == name
        assert ready.workers == min(os.cpu_count() or 1, 8)
        assert (ready.least, ready.detector.conf) == (0.6, 0.1)
        assert ready.detector.classes == {0}
    video.close()
    assert not said


def test_what_is_wrong_with_the_settings(detect_model: Path, tmp_path: Path) -> None:
    video = open_source(write_video(tmp_path / "v.mp4", moving_square(3)))
    for asked in (
        PredictConfig(classes=["pink"]),
        PredictConfig(backend="none"),
        PredictConfig(conf={"pink": 0.3}),
    ):
        with (
            pytest.raises(UsageError),
            opened_detector(detect_model, video, asked, Silent()),
        ):
            pass
    video.close()
