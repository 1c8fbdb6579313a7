"""The generator over a split: order, laziness, progress, and missing files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError
from detect_tl.core.images import Image, read_image
from detect_tl.evaluation.predict import predict_split, split_images
from detect_tl.evaluation.truth import load_truth


class MeanColour:
    """A detector that finds one box whose corner is the mean of the image: easy to recognise."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        self.batches.append(len(images))
        return [
            Detections(
                np.array([[0, 0, image.mean(), 1]], np.float32),
                np.ones(1, np.float32),
                np.zeros(1, np.int64),
            )
            for image in images
        ]


def write_grey(folder: Path, *values: int) -> list[tuple[int, Path]]:
    paths = [folder / f"{value}.png" for value in values]
    for value, path in zip(values, paths, strict=True):
        cv2.imwrite(str(path), np.full((8, 9, 3), value, np.uint8))
    return list(zip(values, paths, strict=True))


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (9, [5])])
def test_every_image_is_answered_in_order(tmp_path: Path, batch: int, sizes: list[int]) -> None:
    detector = MeanColour()
    answers = predict_split(detector, write_grey(tmp_path, 3, 1, 4, 15, 9), batch=batch)
    assert [(i, found.xyxy[0, 2]) for i, found in answers] == [(v, v) for v in (3, 1, 4, 15, 9)]
    assert detector.batches == sizes


def test_images_are_read_only_when_their_turn_comes(tmp_path: Path) -> None:
    images = [*write_grey(tmp_path, 3), (7, tmp_path / "missing.png")]
    answers = predict_split(MeanColour(), images)
    assert next(answers)[0] == 3
    with pytest.raises(DataError, match=r"missing\.png"):
        next(answers)


def test_an_image_is_read_upright(tmp_path: Path) -> None:
    path = tmp_path / "sideways.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    Pillow.new("RGB", (40, 20), (200, 10, 10)).save(path, exif=exif)
    image = read_image(path)
    assert image.shape == (40, 20, 3)
    assert image[0, 0, 2] > 150  # BGR


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.jpg"):
        read_image(path)


def test_the_images_of_a_split_are_found_or_named(tmp_path: Path) -> None:
    write_grey(tmp_path, 5)
    records = [{"id": 1, "file_name": "5.png", "width": 9, "height": 8}]
    truth = {"images": records, "annotations": [], "categories": []}
    assert split_images(load_truth(truth), tmp_path) == [(1, tmp_path / "5.png")]
    records.append({"id": 2, "file_name": "6.png", "width": 9, "height": 8})
    with pytest.raises(DataError, match=r"6\.png: 1 of 2 images"):
        split_images(load_truth(truth), tmp_path)
