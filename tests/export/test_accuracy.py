"""The gate of accuracy: what it must see, what it must let pass, and what it measures on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detect_tl.core.errors import GateError
from detect_tl.core.geometry import Box, Size
from detect_tl.evaluation.truth import Truth, TruthImage, TruthObject
from detect_tl.export.accuracy import (
    ALLOWED,
    AccuracyGate,
    AccuracyReport,
    Labelled,
    require_accuracy,
)
from detect_tl.runtime.backends import Backend, load_backend
from tests.runtime.colour_model import colour_model
from tests.runtime.conftest import picture

COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """Six pictures of one coloured cell each, two of every colour."""
    folder = tmp_path_factory.mktemp("cells")
    images, objects, pairs = [], [], []
    for number in range(6):
        x, y = 8 * number, 8 * (number % 3)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), picture(64, 64, (x, y, x + 8, y + 8, COLOURS[number % 3])))
        images.append(TruthImage(number, path.name, Size(64, 64)))
        box = Box(x, y, x + 8, y + 8)
        objects.append(TruthObject(number, number % 3, box, 64.0, iscrowd=False, mask=None))
        pairs.append((number, path))
    return Labelled("val", Truth(COLOURS, tuple(images), tuple(objects)), pairs)


class Bent:
    """A model whose answers are changed on the way."""

    def __init__(self, model: Backend, *, shift: float = 0.0, scale: float = 1.0) -> None:
        self._model, self._shift, self._scale = model, shift, scale
        self.spec = model.spec

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        (answer,) = self._model.infer(batch)
        answer = answer.copy()
        answer[:, 0] += np.float32(self._shift)
        answer[:, 4:] *= np.float32(self._scale)
        return [answer]

    def close(self) -> None:
        self._model.close()


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return load_backend(colour_model(tmp_path_factory.mktemp("m") / "m.onnx"), "onnxruntime")


def measured(model: Backend, labelled: Labelled | None, **bend: float) -> AccuracyReport:
    pictures = [] if labelled is None else [path for _, path in labelled.images]
    gate = AccuracyGate(model, labelled, pictures, rect=False)
    report = gate.measure(Bent(model, **bend), "int8")
    assert report is not None
    return report


def test_a_model_loses_nothing_against_itself(colours: Backend, labelled: Labelled) -> None:
    report = measured(colours, labelled)
    require_accuracy(report)
    assert (report.basis, report.split, report.images, report.objects) == ("labels", "val", 6, 6)
    assert report.map50_95 == (1.0, 1.0)
    assert report.detections == (6, 6)


def test_masks_of_the_truth_are_nothing_to_a_detector(colours: Backend, labelled: Labelled) -> None:
    report = measured(colours, replace(labelled, masks=True))
    assert (report.map50_95, report.mask) == ((1.0, 1.0), None)


def test_boxes_that_are_off_cost_precision(colours: Backend, labelled: Labelled) -> None:
    report = measured(colours, labelled, shift=2.0)  # an overlap of 0.6: three of ten thresholds
    assert report.map50_95 == (1.0, pytest.approx(0.3))
    with pytest.raises(GateError, match=r"mAP50-95 on val falls from 1\.0000 to 0\.3000 \(allowed"):
        require_accuracy(report)


def test_a_loss_within_the_tolerance_passes(colours: Backend, labelled: Labelled) -> None:
    report = measured(colours, labelled)
    edge = ALLOWED["int8"]
    assert not replace(report, map50_95=(0.5, 0.5 - edge + 1e-9)).problems
    assert replace(report, map50_95=(0.5, 0.5 - edge - 1e-6)).problems
    assert replace(report, mask=(0.5, 0.4)).problems
    assert not replace(report, map50_95=(0.5, 0.7)).problems


def test_a_model_that_detects_nothing_is_caught(colours: Backend, labelled: Labelled) -> None:
    report = measured(colours, labelled, scale=0.2)
    assert report.map50_95 == (1.0, 1.0)  # the order of scores is all that counts for it
    with pytest.raises(GateError, match="detects 0 objects where the checkpoint detects 6"):
        require_accuracy(report)


def test_labels_of_other_classes_give_way_to_the_checkpoint(
    colours: Backend, labelled: Labelled
) -> None:
    truth = replace(labelled.truth, names=("cat", "dog", "bird"))
    report = measured(colours, replace(labelled, truth=truth))
    assert (report.basis, report.objects, report.map50) == ("checkpoint", 6, (1.0, 1.0))
    moved = measured(colours, replace(labelled, truth=truth), shift=4.0)
    with pytest.raises(GateError, match=r"agree with the checkpoint's by 0\.000"):
        require_accuracy(moved)


def test_where_nothing_is_found_nothing_is_measured(colours: Backend, tmp_path: Path) -> None:
    path = tmp_path / "black.png"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    assert AccuracyGate(colours, None, [path], rect=False).measure(colours, "int8") is None


@pytest.mark.parametrize("most", [1, 2, 5, 6, 9])
def test_a_sample_keeps_images_and_objects_together(labelled: Labelled, most: int) -> None:
    sample = labelled.sample(most)
    ids = [image_id for image_id, _ in sample.images]
    assert len(ids) == min(most, 6)
    assert [image.id for image in sample.truth.images] == ids
    assert [item.image_id for item in sample.truth.objects] == ids
