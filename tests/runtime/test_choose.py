"""The engine is chosen by what it does on this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from detect_tl import plugins
from detect_tl.core.detections import Detections
from detect_tl.core.errors import MachineError, UsageError
from detect_tl.runtime.backends import OnnxRuntimeBackend
from detect_tl.runtime.choose import disagreement, fastest_backend
from tests.runtime.colour_model import colour_model
from tests.runtime.conftest import picture

IMAGE = picture(64, 64, (0, 0, 24, 24, "red"), (40, 40, 64, 64, "blue"))


class Slow(OnnxRuntimeBackend):
    def infer(self, batch: Any) -> Any:
        time.sleep(0.01)
        return super().infer(batch)


class Blind(OnnxRuntimeBackend):
    """Faster than any, and finds nothing."""

    def infer(self, batch: Any) -> Any:
        return [np.zeros((len(batch), 7, 64), np.float32)]


class Absent(OnnxRuntimeBackend):
    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)

    def __init__(self, *_: Any, **__: Any) -> None:
        raise MachineError("it is not installed")


Install = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Install:
    def install(**engines: type) -> None:
        monkeypatch.setattr(plugins, "names", lambda _: list(engines))
        monkeypatch.setattr(plugins, "load", lambda _, name: engines[name])

    return install


def test_the_fastest_is_taken(installed: Install, detect_model: Path) -> None:
    installed(slow=Slow, quick=OnnxRuntimeBackend)
    choice = fastest_backend(detect_model, IMAGE)
    assert choice.name == "quick"
    times = {trial.backend: trial.milliseconds or 0 for trial in choice.trials}
    assert times["slow"] > times["quick"] > 0
    choice.backend.close()


def test_never_one_that_answers_otherwise(installed: Install, detect_model: Path) -> None:
    installed(slow=Slow, blind=Blind)
    choice = fastest_backend(detect_model, IMAGE)
    assert choice.name == "slow"
    assert "have no like" in choice.trials[1].against
    assert "have no like" in choice.reason


def test_one_that_is_not_there_is_passed_over(installed: Install, detect_model: Path) -> None:
    installed(absent=Absent, slow=Slow)
    choice = fastest_backend(detect_model, IMAGE)
    assert choice.name == "slow"
    assert choice.trials[0].against == "it is not installed"
    assert re.fullmatch(r"slow is the fastest engine here: [\d.]+ ms a picture", choice.reason)
    installed(absent=Absent, gone=Absent)
    with pytest.raises(MachineError, match="not installed"):
        fastest_backend(detect_model, IMAGE)


def test_a_choice_is_made_once(installed: Install, detect_model: Path, tmp_path: Path) -> None:
    installed(slow=Slow, quick=OnnxRuntimeBackend)
    memory = tmp_path / "cache" / "engines.json"
    options: dict[str, Any] = {"memory": memory, "threads": 1}
    assert fastest_backend(detect_model, IMAGE, **options).trials
    again = fastest_backend(detect_model, IMAGE, **options)
    assert (again.name, again.trials) == ("quick", ())
    other = colour_model(tmp_path / "other.onnx", metadata={"stride": "16"})
    for path, image, changed in (
        (other, IMAGE, options),
        (detect_model, IMAGE[:32], options),
        (detect_model, IMAGE, {**options, "threads": 2}),
        (detect_model, IMAGE, {**options, "imgsz": (64, 64)}),
    ):
        assert fastest_backend(path, image, **changed).trials
    installed(slow=Slow, blind=Blind)  # what was chosen is gone
    assert fastest_backend(detect_model, IMAGE, **options).name == "slow"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"key": 3}'])
def test_a_memory_that_cannot_be_read(
    installed: Install, detect_model: Path, tmp_path: Path, content: bytes
) -> None:
    installed(slow=Slow, quick=OnnxRuntimeBackend)
    memory = tmp_path / "engines.json"
    memory.write_bytes(content)
    assert fastest_backend(detect_model, IMAGE, memory=memory).trials
    assert not fastest_backend(detect_model, IMAGE, memory=memory).trials


def test_a_memory_that_cannot_be_written(
    installed: Install, detect_model: Path, tmp_path: Path
) -> None:
    installed(slow=Slow, quick=OnnxRuntimeBackend)
    (tmp_path / "file").write_text("in the way")
    choice = fastest_backend(detect_model, IMAGE, memory=tmp_path / "file" / "engines.json")
    assert choice.name == "quick"


def test_no_engine_for_a_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no engine runs"):
        fastest_backend(tmp_path / "model.pt", IMAGE)


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    values = np.asarray(rows, np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int64))


BOX = (10, 10, 50, 50, 0.8, 1)


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        (found(BOX), True),
        (found((11, 11, 51, 51, 0.75, 1)), True),
        (found(BOX, (0, 0, 9, 9, 0.3, 0)), True),  # what is unsure may differ
        (found((10, 10, 50, 50, 0.6, 1)), False),
        (found((10, 10, 50, 50, 0.8, 0)), False),
        (found((30, 10, 70, 50, 0.8, 1)), False),
        (found(), False),
        (found(BOX, (60, 60, 80, 80, 0.9, 1)), False),
        (found((np.nan, np.nan, np.nan, np.nan, 0.8, 1)), False),
    ],
)
def test_what_agrees(other: Detections, agrees: bool) -> None:
    assert (not disagreement(found(BOX), other)) is agrees
    assert (not disagreement(other, found(BOX))) is agrees


@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [(0.36, 0.26, True), (0.9, 0.85, True), (0.9, 0.8, False), (0.6, 0.4, False), (1.0, 1.0, True)],
)
def test_scores_are_alike_as_far_as_rounding_moves_logits(
    one: float, other: float, agrees: bool
) -> None:
    first, second = (found((0, 0, 40, 40, score, 0)) for score in (one, other))
    assert (not disagreement(first, second)) is agrees
    assert (not disagreement(second, first)) is agrees


def test_a_box_cut_to_nothing_at_the_border_is_like_itself() -> None:
    same = found((0, 10, 0, 50, 0.8, 1))
    assert not disagreement(same, same)
    assert disagreement(same, found((0, 60, 0, 90, 0.8, 1)))


def test_an_engine_with_equal_answers_agrees_on_any_picture(detect_model: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 20, 3), np.uint8)
    trials = fastest_backend(detect_model, photo).trials
    assert {trial.backend: trial.against for trial in trials[:2]} == {
        "onnxruntime": "",
        "openvino": "",
    }
