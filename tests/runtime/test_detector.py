from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector, class_ids
from tests.runtime.colour_model import NAMES, colour_model
from tests.runtime.conftest import picture


def test_boxes_come_back_in_pixels_of_each_image(detect_model: Path) -> None:
    detector = Detector(load_backend(detect_model), conf=0.7)
    # 128x64: a cell of the input is 16 pixels of the image, and 16 rows of padding lie above.
    wide = picture(128, 64, (32, 16, 48, 32, "red"), (96, 32, 112, 48, "blue"))
    small = picture(32, 32, (4, 8, 8, 12, "green"))
    first, second = detector([wide, small])
    assert first.xyxy.tolist() == [[32, 16, 48, 32], [96, 32, 112, 48]]
    assert [NAMES[i] for i in first.class_id] == ["red", "blue"]
    assert first.score.tolist() == [1, 1]
    assert second.xyxy.tolist() == [[4, 8, 8, 12]]
    assert [NAMES[i] for i in second.class_id] == ["green"]
    assert 0.7 < second.score[0] < 1  # enlarging blurred the edge
    assert first.mask is None
    assert detector([]) == []


def test_masks_come_back_in_pixels_of_the_image(segment_model: Path) -> None:
    image = picture(256, 128, (64, 32, 96, 64, "red"))
    with Detector(load_backend(segment_model), conf=0.9) as detector:
        (found,) = detector([image])
    assert found.mask is not None
    assert found.mask.shape == (1, 128, 256)
    red = image[..., 2] > 0
    assert not (found.mask[0] & ~red).any()
    assert found.mask[0].sum() > 0.9 * red.sum()  # bilinear sampling rounds the corners


def test_an_end_to_end_model(tmp_path: Path) -> None:
    backend = load_backend(colour_model(tmp_path / "m.onnx", end2end=True))
    (found,) = Detector(backend, conf=0.9)([picture(64, 64, (8, 16, 16, 24, "green"))])
    assert found.xyxy.tolist() == [[8, 16, 16, 24]]
    assert found.class_id.tolist() == [1]


def test_settings_reach_the_answers(detect_model: Path) -> None:
    backend = load_backend(detect_model)
    image = picture(64, 64, (0, 0, 64, 32, "red"), (0, 32, 64, 64, "blue"))
    assert len(Detector(backend)([image])[0]) == 64
    assert len(Detector(backend, max_det=5)([image])[0]) == 5
    (blue,) = Detector(backend, classes=[2])([image])
    assert set(blue.class_id.tolist()) == {2}
    assert len(Detector(backend, iou=0)([image])[0]) == 64  # neighbours touch, none overlaps


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"conf": 1.5}, "conf is 1.5"),
        ({"iou": -1}, "iou is -1"),
        ({"max_det": 0}, "max_det is 0"),
        ({"classes": [3]}, "no class 3"),
        ({"imgsz": (96, 64)}, "accepts 64x64 images only"),
        ({"rect": True}, "accepts 64x64 images only"),
    ],
)
def test_settings_out_of_range(detect_model: Path, options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Detector(load_backend(detect_model), **options)


class Recorder:
    """A backend that remembers the shapes it was given."""

    def __init__(self, **options: object) -> None:
        self.spec = ModelSpec(names=NAMES, imgsz=(64, 64), stride=8, dynamic=True, **options)
        self.seen: list[tuple[int, ...]] = []

    def infer(self, batch: np.ndarray) -> list[np.ndarray]:
        self.seen.append(batch.shape)
        return [np.zeros((len(batch), 7, 5), np.float32)]

    def close(self) -> None:
        self.seen.clear()


def test_a_dynamic_model_takes_other_sizes_and_rectangles() -> None:
    backend = Recorder()
    wide, tall = picture(128, 50), picture(50, 128)
    Detector(backend, imgsz=(96, 128))([wide])
    Detector(backend)([wide, wide])  # its own rectangle, with half a stride to spare
    Detector(backend, rect=False)([wide, wide])
    Detector(backend)([wide, tall])  # no common rectangle: the full size
    assert backend.seen == [(1, 3, 96, 128), (2, 3, 32, 72), (2, 3, 64, 64), (2, 3, 64, 64)]
    with pytest.raises(UsageError, match="60x60 does not fit"):
        Detector(backend, imgsz=(60, 60))


def test_answers_that_cannot_belong_to_the_model_are_refused() -> None:
    detector = Detector(Recorder(task="segment"))
    with pytest.raises(WeightsError, match=r"arrays of shape \[\(1, 7, 5\)\]"):
        detector([picture(10, 10)])


def test_classes_by_name_or_number() -> None:
    assert class_ids(NAMES, ["blue", "0", 1]) == [2, 0, 1]
    with pytest.raises(UsageError, match="no class 'bleu'") as caught:
        class_ids(NAMES, ["bleu"])
    assert caught.value.hint == "Did you mean 'blue'?"
    with pytest.raises(UsageError, match="no class '3'"):
        class_ids(NAMES, [3])


def test_detecting_loads_no_torch(detect_model: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from detect_tl.runtime.backends import load_backend\n"
        "from detect_tl.runtime.detector import Detector\n"
        "Detector(load_backend(Path(sys.argv[1])))([np.zeros((9, 9, 3), np.uint8)])\n"
        "assert not {'torch', 'ultralytics'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(detect_model)], check=True)
