"""Real COCO weights on real photos: the whole chain gives Ultralytics' own answers."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.dataset import Instance
from detect_tl.core.files import find_images
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image, read_image
from detect_tl.evaluation.coco_eval import evaluate
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.tiles import TiledDetector
from tests.formats.makers import read


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


@pytest.mark.slow
def test_tiles_find_in_a_large_picture_what_is_found_in_its_parts(
    shared: Path, coco_model: Path
) -> None:
    """Four photos as one: tiles that cut through them do as well as looking at each alone."""
    data = read(shared / "data" / "coco_coco128_0hye").dataset
    alone, together, mosaics, photos = [], [], [], []
    for number in range(6):
        canvas = np.full((1280, 1280, 3), 114, np.uint8)
        for place, sample in enumerate(data.samples[4 * number : 4 * number + 4]):
            x, y, image = place % 2 * 640, place // 2 * 640, read_image(sample.image)
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
            alone.append((len(photos), Size(*image.shape[1::-1]), sample.instances, (0, 0)))
            together.append((number, Size(1280, 1280), sample.instances, (x, y)))
            photos.append(image)
        mosaics.append(canvas)
    with Detector(load_backend(coco_model), conf=0.001, multi_label=True) as detector:
        tiled = TiledDetector(detector, 512)
        apart = _score(alone, data.names, detector, photos)
        found = _score(together, data.names, tiled, mosaics)
        whole = _score(together, data.names, detector, mosaics)
    assert found > whole + 0.1
    assert found > apart - 0.05


_Placed = list[tuple[int, Size, Sequence[Instance], tuple[int, int]]]


def _score(
    truth: _Placed, names: list[str], detector: Detector | TiledDetector, images: list[Image]
) -> float:
    """mAP50-95. truth: image id, its size, objects, and where they are moved to."""
    sizes = {image_id: size for image_id, size, _, _ in truth}
    document = {
        "images": [
            {"id": k, "file_name": f"{k}.jpg", "width": size.width, "height": size.height}
            for k, size in sizes.items()
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
        "annotations": [
            {
                "id": 1000 * place + row + 1,
                "image_id": image_id,
                "category_id": item.category,
                "bbox": [item.box.x1 + x, item.box.y1 + y, item.box.width, item.box.height],
                "area": item.box.area,
                "iscrowd": int(item.iscrowd),
            }
            for place, (image_id, _, items, (x, y)) in enumerate(truth)
            for row, item in enumerate(items)
        ],
    }
    found = [(k, detector([image])[0]) for k, image in enumerate(images)]
    return evaluate(document, found, names=detector.spec.names).main.map50_95
