"""The page of a run: complete, self-contained, and honest about what is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError
from detect_tl.core.images import Image
from detect_tl.evaluation.coco_eval import evaluate
from detect_tl.evaluation.describe import describe_run
from detect_tl.evaluation.pictures import match, sample_pictures
from detect_tl.evaluation.report import RunReport, VideoSection, write_report
from detect_tl.evaluation.truth import load_truth

NAMES = ("fig", "<date>")
SIZE = {"width": 90, "height": 60}


def box(x: float, y: float, side: float, score: float, label: int) -> Detections:
    return Detections(
        np.array([[x, y, x + side, y + side]], np.float32),
        np.array([score], np.float32),
        np.array([label], np.int64),
    )


def both(a: Detections, b: Detections) -> Detections:
    return Detections(
        np.concatenate((a.xyxy, b.xyxy)),
        np.concatenate((a.score, b.score)),
        np.concatenate((a.class_id, b.class_id)),
    )


class OneRight:
    """Finds the object at (5, 5), and another one that is not there."""

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        return [both(box(6, 5, 20, 0.9, 0), box(70, 30, 15, 0.4, 1)) for _ in images]


@pytest.fixture
def truth() -> dict[str, Any]:
    def thing(image: int, x: float, label: int) -> dict[str, Any]:
        corners = {"bbox": [x, 5, 20, 20], "area": 400}
        return {"id": 1, "image_id": image, "category_id": label, "iscrowd": 0, **corners}

    return {
        "images": [{"id": k, "file_name": f"{k}.jpg", **SIZE} for k in range(4)],
        "annotations": [thing(0, 5, 0), thing(0, 40, 1), thing(2, 5, 0)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(NAMES)],
    }


@pytest.fixture
def images(tmp_path: Path) -> list[tuple[int, Path]]:
    for k in range(4):
        cv2.imwrite(str(tmp_path / f"{k}.jpg"), np.full((60, 90, 3), 50 * k, np.uint8))
    return [(k, tmp_path / f"{k}.jpg") for k in range(4)]


@pytest.fixture
def run(tmp_path: Path, truth: dict[str, Any]) -> Path:
    """A run folder with everything that is read from one."""
    folder = tmp_path / "my run"
    (folder / "dataset").mkdir(parents=True)
    (folder / "weights").mkdir()
    (folder / "weights" / "best.pt").write_bytes(bytes(2_500_000))
    (folder / "dataset" / "report.html").write_text("")
    metrics = evaluate(truth, [(0, box(6, 5, 20, 0.9, 0))], names=NAMES).as_json()
    fate = {"fate": "new", "shape": [2, 80], "reason": "class rows of <2> new classes"}
    contents: dict[str, Any] = {
        "config": {
            "task": "detect",
            "weights": "/a/w.pt",
            "strategy": "freeze",
            "freeze": 11,
            "epochs": 3,
            "imgsz": 64,
        },
        "dataset": {
            "path": "dataset",
            "source": "raw/labels",
            "names": list(NAMES),
            "images": {"train": 1200, "val": 4},
            "objects": {"train": 3600, "val": 3},
        },
        "environment": {"python": "3.11", "packages": {"torch": "2.15"}},
        "metrics": {**metrics, "split": "val"},
        "transfer": {
            "summary": ["493 of 499 tensors transferred"],
            "counts": {"tensors": 499, "copied": 493, "remapped": 0, "new": 6, "skipped": 6},
            "tensors": {f"model.23.cv3.{k}.2.weight": fate for k in range(3)},
        },
    }
    for name, value in contents.items():
        (folder / f"{name}.json").write_bytes(orjson.dumps(value))
    (folder / "metrics.csv").write_text("epoch,train/box_loss,metrics/mAP50(B)\n1,2,.1\n2,1,.3\n")
    return folder


EXPORT = {
    "size_bytes": 10_675_128,
    "precision": "fp32",
    "opset": 18,
    "imgsz": [64, 64],
    "dynamic": False,
    "end2end": False,
    "parity": {
        "worst": {"score": 5.6e-6, "box": 2.4e-4, "mask": None},
        "tolerance": {"score": 1e-3, "box": 0.1, "mask": 1e-3, "iou": 0.99},
        "images": [{"detections": [2, 2], "lost": 0}] * 8,
        "notes": [],
    },
}

INT8 = {
    **EXPORT,
    "precision": "int8",
    "quantized": {"groups": 25, "in_float": [{"group": "10"}, {"group": "4"}]},
    "accuracy": {
        "basis": "labels",
        "split": "val",
        "images": 72,
        "allowed_loss": 0.01,
        "mAP50-95": [0.5252, 0.5214],
        "mask_mAP50-95": None,
    },
    "parity": {
        **EXPORT["parity"],  # type: ignore[dict-item]
        "tolerance": {"score": None, "box": None, "mask": None, "lost": 0.1},
    },
    "notes": ["int8 was no faster"],
}
"""As `export.json` holds one of int8; single outputs are not held to account there."""


class Page(HTMLParser):
    """What a page refers to, and whether its elements nest."""

    VOID = frozenset("meta source br link img".split())

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "poster")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def headings(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


def test_a_whole_run_on_one_page(
    run: Path, truth: dict[str, Any], images: list[tuple[int, Path]]
) -> None:
    pictures = sample_pictures(OneRight(), load_truth(truth), images, NAMES)
    video = VideoSection("detections/video.mp4", np.zeros((60, 90, 3), np.uint8), 24.64)
    report = describe_run(
        run,
        notes=["Started from a synthetic starter, not COCO."],
        pictures=pictures,
        export=EXPORT,
        video=video,
        speed={"training": "3 min"},
    )
    write_report(report, run / "report.html")
    html = (run / "report.html").read_text("utf-8")
    assert headings(html) == [
        "Detections on video",
        "Accuracy on the val split",
        "Truth and predictions",
        "Training",
        "Data",
        "What was transferred",
        "Export",
        "Speed",
        "Files",
        "How it was made",
    ]
    for text in ("my run", "synthetic starter", "24.6", "10.7 MB", "493 copied", "1,200", "2.5 MB"):
        assert text in html
    assert "&lt;date&gt;" in html
    assert "<date>" not in html
    page = Page(html)
    assert page.open == []
    outside = {a for a in page.addresses if not a.startswith(("data:", "#"))}
    assert outside == {
        "detections/video.mp4",
        "dataset/report.html",
        "weights/best.pt",
        *(f"{n}.json" for n in ("config", "dataset", "environment", "metrics", "transfer")),
        "metrics.csv",
    }


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    write_report(RunReport(title="bare", version="1"), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    assert headings(html) == []
    assert Page(html).open == []


def test_the_same_run_gives_the_same_page(run: Path) -> None:
    for _ in range(2):
        write_report(describe_run(run), run / "report.html")
        pages = (run / "report.html").read_bytes()
    write_report(describe_run(run), run / "again.html")
    assert (run / "again.html").read_bytes() == pages


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no run folder"):
        describe_run(tmp_path)


def test_pictures_show_images_with_objects(
    truth: dict[str, Any], images: list[tuple[int, Path]]
) -> None:
    pictures = sample_pictures(OneRight(), load_truth(truth), images, NAMES)
    assert [picture.name for picture in pictures] == ["0.jpg", "2.jpg"]
    assert [(p.found, len(p.truth), p.wrong) for p in pictures] == [(1, 2, 1), (1, 1, 1)]
    first = pictures[0]
    assert [item.label for item in first.truth] == ["fig", "<date>"]
    assert [item.label for item in first.predicted] == ["fig 0.90", "<date> 0.40"]
    assert first.predicted[1].right == 85  # its label would leave the picture


def test_pictures_without_objects_are_better_than_none(images: list[tuple[int, Path]]) -> None:
    empty = {"images": [], "annotations": [], "categories": []}
    pictures = sample_pictures(OneRight(), load_truth(empty), images, NAMES, count=3)
    assert len(pictures) == 3
    assert all(picture.truth == () for picture in pictures)


def test_masks_are_drawn_as_outlines(images: list[tuple[int, Path]], truth: dict) -> None:
    class Masked:
        def __call__(self, images: Sequence[Image]) -> list[Detections]:
            bitmap = np.zeros((1, 60, 90), np.bool_)
            bitmap[0, 10:20, 30:50] = True
            found = box(30, 10, 20, 0.5, 0)
            return [Detections(found.xyxy, found.score, found.class_id, bitmap)] * len(images)

    (picture, *_) = sample_pictures(Masked(), load_truth(truth), images, NAMES)
    assert picture.masked
    corners = set(re.findall(r"[\d.]+,[\d.]+", picture.predicted[0].path))
    assert corners == {"30.0,10.0", "50.0,10.0", "50.0,20.0", "30.0,20.0"}


def test_an_object_is_found_once() -> None:
    twice = both(box(5, 5, 20, 0.5, 0), box(6, 5, 20, 0.9, 0))
    hit, right = match(box(5, 5, 20, 1, 0), twice)
    assert hit.tolist() == [True]
    assert right.tolist() == [False, True]
    assert match(box(5, 5, 20, 1, 1), twice)[1].tolist() == [False, False]
    assert match(Detections.empty(), twice)[1].tolist() == [False, False]


def test_an_export_in_integers_shows_what_it_cost(
    run: Path, truth: dict[str, Any], images: list[tuple[int, Path]]
) -> None:
    pictures = sample_pictures(OneRight(), load_truth(truth), images, NAMES)
    write_report(describe_run(run, pictures=pictures, export=INT8), run / "report.html")
    html = (run / "report.html").read_text("utf-8")
    for text in ("0.5252", "0.5214", "on val, 72 pictures", "10, 4", "int8 was no faster"):
        assert text in html
    assert "<td>scores</td>" not in html
    assert "a share of 0.1" in html
    assert Page(html).open == []
