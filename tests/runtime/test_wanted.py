"""Models that answer under other names, alone and together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.errors import UsageError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.predict import predict
from detect_tl.runtime.wanted import Wanted, WantedBackend
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, write_video

CELLS = ((8, 8, 16, 16, "red"), (40, 40, 48, 48, "green"), (24, 8, 32, 16, "blue"))


class Answers:
    """A model that answers the same to everything."""

    def __init__(self, spec: ModelSpec, *outputs: np.ndarray) -> None:
        self.spec, self.outputs, self.closed = spec, list(outputs), False

    def infer(self, batch: np.ndarray) -> list[np.ndarray]:
        del batch
        return [output.copy() for output in self.outputs]

    def close(self) -> None:
        self.closed = True


def spec(*names: str, end2end: bool = False, **other: object) -> ModelSpec:
    return ModelSpec(names=names, imgsz=(64, 64), dynamic=True, end2end=end2end, **other)


BLANK = np.zeros((64, 64, 3), np.uint8)


def found(backend: object, **options: object) -> list[tuple[str, float, list[float]]]:
    (each,) = Detector(backend, **{"conf": 0.1, "iou": 0.5, "rect": False, **options})([BLANK])
    rows = zip(each.class_id.tolist(), each.score.tolist(), each.xyxy.tolist(), strict=True)
    return sorted((backend.spec.names[i], round(s, 5), np.round(b, 3).tolist()) for i, s, b in rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.sampled_from("abcde"), min_size=1))
def test_it_is_the_filter_of_classes_under_other_names(seed: int, wanted: set[str]) -> None:
    rng = np.random.default_rng(seed)
    raw = np.concatenate((rng.uniform(4, 60, (1, 4, 20)), rng.random((1, 5, 20))), 1)
    model = Answers(spec(*"abcde"), raw.astype(np.float32))
    labels = {name: name.upper() for name in "abcde" if name in wanted}
    ids = [k for k, name in enumerate("abcde") if name in wanted]
    ours = found(WantedBackend([(model, labels)]))
    theirs = [(name.upper(), *rest) for name, *rest in found(model, classes=ids)]
    assert ours == theirs


def test_classes_of_one_label_suppress_one_another() -> None:
    raw = np.array([[32, 32, 16, 16, 0.9, 0.0, 0.2], [33, 32, 16, 16, 0.1, 0.8, 0.2]], np.float32)
    model = Answers(spec("car", "truck", "cat"), raw.T[None])
    together = WantedBackend([(model, {"car": "vehicle", "truck": "vehicle"})])
    assert [(name, score) for name, score, _ in found(together)] == [("vehicle", 0.9)]
    apart = WantedBackend([(model, {"car": "sedan", "truck": "lorry"})])
    assert [name for name, *_ in found(apart)] == ["lorry", "sedan"]


def test_an_end_to_end_model() -> None:
    rows = np.array([[8, 8, 16, 16, 0.9, 2], [20, 20, 30, 40, 0.8, 0], [0, 0, 9, 9, 0.7, 1]])
    model = Answers(spec("a", "b", "c", end2end=True), rows[None].astype(np.float32))
    alone = WantedBackend([(model, {"c": "x", "a": "y"})])
    assert alone.spec.end2end
    assert [(name, box) for name, _, box in found(alone)] == [
        ("x", [8, 8, 16, 16]),
        ("y", [20, 20, 30, 40]),
    ]
    other = Answers(spec("d"), np.array([[[50], [50], [8], [8], [0.6]]], np.float32))
    both = WantedBackend([(model, {"c": "x", "a": "y"}), (other, {"d": "z"})])
    assert not both.spec.end2end
    assert [(name, box) for name, _, box in found(both)] == [
        ("x", [8, 8, 16, 16]),
        ("y", [20, 20, 30, 40]),
        ("z", [46, 46, 54, 54]),
    ]
    both.close()
    assert model.closed
    assert other.closed


def test_one_model_keeps_its_masks_and_several_give_boxes(segment_model: Path) -> None:
    backend = load_backend(segment_model)
    image = picture(64, 64, *CELLS)
    (plain,) = Detector(backend, conf=0.6, classes=[0])([image])
    with Detector(WantedBackend([(backend, {"red": "blood"})]), conf=0.6) as detector:
        (masked,) = detector([image])
        assert masked.mask is not None
        assert np.array_equal(masked.mask, plain.mask)
        two = WantedBackend([(backend, {"red": "blood"}), (backend, {"blue": "sea"})])
        (boxes,) = Detector(two, conf=0.6)([image])
    assert two.spec.task == "detect"
    assert boxes.mask is None
    assert sorted(two.spec.names[i] for i in boxes.class_id) == ["blood", "sea"]


def test_fixed_sizes_must_be_the_same() -> None:
    small, large = spec("a"), spec("b")
    fixed = [replace(small, dynamic=False), replace(large, dynamic=False, imgsz=(96, 96))]
    models = [Answers(each, np.zeros((1, 5, 1), np.float32)) for each in fixed]
    with pytest.raises(UsageError, match="pictures of different sizes"):
        WantedBackend([(models[0], {"a": "a"}), (models[1], {"b": "b"})])
    free = Answers(large, np.zeros((1, 5, 1), np.float32))
    joined = WantedBackend([(free, {"b": "b"}), (models[0], {"a": "a"})])
    assert (joined.spec.imgsz, joined.spec.dynamic) == ((64, 64), False)


def test_a_run_over_a_video(detect_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(5))
    models = [Wanted(detect_model, {"green": "grass"}), Wanted(detect_model, {"red": "brick"})]
    config = PredictConfig(conf={"brick": 0.8}, backend="onnxruntime", out=tmp_path / "out")
    result = predict(models, video, config)
    assert result.objects == {"brick": 5}
    assert result.backend == "onnxruntime"
    with pytest.raises(UsageError, match="no class 'red'"):
        predict(models, video, PredictConfig(classes=["red"]))
