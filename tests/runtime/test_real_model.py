"""Real COCO weights on real photos: the whole chain gives Ultralytics' own answers."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.files import find_images
from detect_tl.core.images import read_image
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector


@pytest.fixture(scope="module")
def coco_model(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ultralytics import YOLO

    weights = tmp_path_factory.mktemp("coco") / "yolo11n.pt"
    shutil.copyfile(shared / "weights" / "yolo11n.pt", weights)
    with warnings.catch_warnings():  # the exporter of torch announces its own end
        warnings.simplefilter("ignore")
        return Path(YOLO(weights).export(format="onnx", imgsz=320, dynamic=True, verbose=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"conf": 0.25},
        {"conf": 0.05, "iou": 0.45, "classes": [0, 2, 5]},
    ],
)
def test_the_same_detections_as_ultralytics(
    shared: Path, coco_model: Path, options: dict[str, object]
) -> None:
    from ultralytics import YOLO

    images = [read_image(p) for p in find_images(shared / "data" / "coco_coco128_0hye")[:12]]
    settings = {"iou": 0.7, "rect": False, **options}
    theirs = YOLO(coco_model, task="detect")
    found = 0
    with Detector(load_backend(coco_model), **settings) as detector:
        for image in images:
            (ours,) = detector([image])
            (result,) = theirs.predict(image, imgsz=320, verbose=False, **settings)
            assert ours.class_id.tolist() == result.boxes.cls.int().tolist()
            assert ours.score == pytest.approx(result.boxes.conf.numpy(), abs=1e-4)
            assert ours.xyxy == pytest.approx(result.boxes.xyxy.numpy(), abs=0.05)
            found += len(ours)
    assert found > 20


@pytest.mark.slow
def test_batches_give_the_answers_of_single_images(shared: Path, coco_model: Path) -> None:
    images = [read_image(p) for p in find_images(shared / "data" / "coco_coco128_0hye")[:4]]
    with Detector(load_backend(coco_model, threads=1)) as detector:
        together = detector(images)
        alone = [detector([image])[0] for image in images]
    for a, b in zip(together, alone, strict=True):
        assert np.array_equal(a.class_id, b.class_id)
        assert a.xyxy == pytest.approx(b.xyxy, abs=0.05)
