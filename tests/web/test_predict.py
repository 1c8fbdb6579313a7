"""What the HTTP API answers, held against the detector that it serves."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pil

from detect_tl.core.geometry import RleMask, Size, rle_to_bitmap
from detect_tl.core.images import decode_image
from detect_tl.core.rle import decode_counts
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.draw import draw_detections
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import as_record
from tests.web.clients import boxes
from tests.web.conftest import CONF, TWO_BOXES, encoded, noise, serving, two_cells


def expected(model: Path, data: bytes, name: str, **settings: Any) -> dict[str, Any]:
    """The record of a picture, from the detector itself."""
    with closing(Detector(load_backend(model), **{"conf": CONF, **settings})) as detector:
        image = decode_image(data)
        return as_record(Frame(image, 0, 0.0, name), detector([image])[0], detector.spec.names)


def send(client: httpx.Client, data: bytes, **query: Any) -> httpx.Response:
    return client.post("/predict", content=data, params=query)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_a_raw_body_is_answered_as_the_detector_answers(
    client: httpx.Client, detect_model: Path, suffix: str
) -> None:
    data = encoded(two_cells(), suffix)
    answer = send(client, data)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == expected(detect_model, data, "image")
    assert set(boxes(answer.json())) == {"red", "green"}


def test_a_form_gives_the_name_too(client: httpx.Client, detect_model: Path) -> None:
    data = encoded(two_cells())
    answer = client.post("/predict", files={"file": ("ä <b>.png", data)}, data={"note": "x"})
    assert answer.json() == expected(detect_model, data, "ä <b>.png")
    assert boxes(answer.json()) == TWO_BOXES


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_picture_as_a_person_sees_it(
    client: httpx.Client, orientation: int
) -> None:
    turn = {
        1: None, 2: Pil.Transpose.FLIP_LEFT_RIGHT, 3: Pil.Transpose.ROTATE_180,
        4: Pil.Transpose.FLIP_TOP_BOTTOM, 5: Pil.Transpose.TRANSPOSE, 6: Pil.Transpose.ROTATE_90,
        7: Pil.Transpose.TRANSVERSE, 8: Pil.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    upright = Pil.fromarray(two_cells()[..., ::-1])
    stored = upright if turn is None else upright.transpose(turn)
    exif = Pil.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "JPEG", quality=95, exif=exif)
    record = send(client, file.getvalue()).json()
    assert (record["width"], record["height"]) == (640, 480)
    assert boxes(record) == TWO_BOXES


@pytest.mark.parametrize(
    "query",
    [{"conf": 0.05}, {"conf": 0.05, "iou": 0.1}, {"conf": 0.01, "max_det": 3}, {"classes": [1]}],
)
def test_settings_are_the_detectors_own(
    client: httpx.Client, detect_model: Path, query: dict[str, Any]
) -> None:
    data = encoded(noise(200, 160))
    sent = {**query, **({"classes": "green"} if "classes" in query else {})}
    assert send(client, data, **sent).json() == expected(detect_model, data, "image", **query)


def test_classes_go_by_name_or_number(client: httpx.Client) -> None:
    data = encoded(two_cells())
    assert set(boxes(send(client, data, classes="green, blue").json())) == {"green"}
    assert set(boxes(send(client, data, classes="0").json())) == {"red"}
    assert set(boxes(send(client, data, classes="0,green").json())) == {"red", "green"}


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"conf": "1.5"}, "conf"),
        ({"conf": "nan"}, "conf"),
        ({"iou": "-0.1"}, "iou"),
        ({"max_det": "0"}, "max_det"),
        ({"max_det": "100000"}, "max_det"),
        ({"classes": "rde"}, "Did you mean 'red'?"),
        ({"classes": ""}, "classes"),
        ({"confidence": "0.5"}, "confidence"),
        ({"masks": "perhaps"}, "masks"),
    ],
)
def test_a_wrong_setting_is_named(client: httpx.Client, query: dict[str, str], word: str) -> None:
    answer = send(client, encoded(two_cells()), **query)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


def test_annotated_is_the_picture_as_predict_draws_it(
    client: httpx.Client, detect_model: Path
) -> None:
    data = encoded(two_cells())
    answer = send(client, data, annotated="true")
    assert answer.headers["content-type"] == "image/jpeg"
    with closing(Detector(load_backend(detect_model), conf=CONF)) as detector:
        image = decode_image(data)
        draw_detections(image, detector([image])[0], detector.spec.names)
    assert answer.content == encoded(image, ".jpg")


def test_masks_are_given_and_left_out(segment_model: Path) -> None:
    data = encoded(two_cells())
    with serving(segment_model) as address, httpx.Client(base_url=address.url) as client:
        full = send(client, data).json()
        bare = send(client, data, masks="false").json()
    assert full == expected(segment_model, data, "image")
    coded = [item.pop("mask") for item in full["detections"]]
    assert [one["size"] for one in coded] == [[480, 640]] * 2
    runs = [tuple(decode_counts(one["counts"])) for one in coded]
    masks = [rle_to_bitmap(RleMask(one, Size(640, 480))) for one in runs]
    assert full == bare
    for item, mask in zip(full["detections"], masks, strict=True):
        x1, y1, x2, y2 = (round(v) for v in item["xyxy"])
        inside = mask[y1:y2, x1:x2].mean()
        assert 0.9 < inside <= 1
        assert mask.sum() == mask[y1:y2, x1:x2].sum()


def test_masks_that_would_fill_the_memory_are_refused(segment_model: Path) -> None:
    """Every cell of a white picture is an object with a mask as large as the picture."""
    white = encoded(np.full((2400, 2400, 3), 255, np.uint8), ".png")
    with serving(segment_model) as address, httpx.Client(base_url=address.url) as client:
        answer = send(client, white)
        assert answer.status_code == 422
        assert "masks=false" in answer.json()["detail"]
        assert len(send(client, white, masks="false").json()["detections"]) == 64
        assert len(send(client, white, max_det="2").json()["detections"]) == 2


def test_the_model_tells_what_a_client_needs(client: httpx.Client) -> None:
    told = client.get("/model").json()
    assert [one["name"] for one in told["classes"]] == ["red", "green", "blue"]
    assert (told["task"], told["imgsz"], told["conf"]) == ("detect", [64, 64], CONF)
    assert told["name"] == "colours.onnx"  # and not where it lies


def test_every_class_may_have_a_threshold_of_its_own(detect_model: Path) -> None:
    each = {"red": 0.5, "green": 0.99, "blue": 0.5}
    image = two_cells()
    image[image[..., 1] == 255] = (0, 220, 0)  # the green cell is less sure now: 0.86
    with serving(detect_model, conf=each) as address, httpx.Client(base_url=address.url) as client:
        assert client.get("/model").json()["conf"] == each
        assert set(boxes(send(client, encoded(image)).json())) == {"red"}
        assert set(boxes(send(client, encoded(image), conf=0.6).json())) == {"red", "green"}


def test_requests_and_pictures_are_counted(detect_model: Path) -> None:
    def value(text: str, name: str) -> float:
        return next(float(x.split()[-1]) for x in text.splitlines() if x.startswith(name))

    with serving(detect_model) as address, httpx.Client(base_url=address.url) as client:
        for _ in range(3):
            send(client, encoded(two_cells()))
        send(client, b"no picture")
        client.get("/made-up-by-a-stranger")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    series = 'detect_tl_requests_total{method="POST",path="/predict",status="%s"}'
    assert value(answer.text, series % 200) == 3
    assert value(answer.text, series % 415) == 1
    assert value(answer.text, "detect_tl_frames_total") == 3
    assert value(answer.text, "detect_tl_inference_seconds_count") == 3
    assert value(answer.text, 'detect_tl_request_seconds_count{path="/predict"}') == 4
    assert value(answer.text, "detect_tl_clients") == 0
    assert "stranger" not in answer.text


def test_no_page_loads_scripts_from_elsewhere(client: httpx.Client) -> None:
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").json()["info"]["title"] == "detect-tl"
    page = client.get("/").text
    assert "://" not in page
