"""The sample that is committed: what its README promises is there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

CATEGORIES = {"bracket", "hex-nut", "washer", "wing-nut"}


@pytest.fixture(scope="module")
def sample(repository: Path) -> Path:
    return repository / "datasets" / "sample"


@pytest.fixture(scope="module")
def contents(sample: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((sample / "contents.json").read_text())
    return result


def _documents(sample: Path) -> dict[str, dict[str, Any]]:
    return {p.name: json.loads(p.read_text()) for p in sorted(sample.glob("images/*.json"))}


def test_it_is_small_and_large_enough(sample: Path, contents: dict[str, Any]) -> None:
    assert sum(p.stat().st_size for p in sample.rglob("*") if p.is_file()) <= 5_000_000
    pictures = sorted(sample.glob("images/*.jpg"))
    assert len(pictures) == contents["images"] >= 120
    assert set(contents["objects"]) == CATEGORIES
    assert min(contents["objects"].values()) >= 150
    for path in pictures:
        picture = cv2.imread(str(path))
        assert picture is not None, path
        assert min(picture.shape[:2]) >= 320


def test_the_documents_hold_what_the_contents_say(sample: Path, contents: dict[str, Any]) -> None:
    documents = _documents(sample)
    shapes = [s for d in documents.values() for s in d["shapes"]]
    assert len(documents) == contents["annotation_files"]
    assert Counter(s["shape_type"] for s in shapes) == contents["shapes_as_drawn"]
    # every part of a group but its first, and the two faulty polygons, are no objects of their own
    extra_parts = sum(
        n - 1
        for d in documents.values()
        for n in Counter(s["group_id"] for s in d["shapes"] if s["group_id"] is not None).values()
    )
    assert len(shapes) - extra_parts - 2 == sum(contents["objects"].values())
    assert {s["label"].strip().lower() for s in shapes} == CATEGORIES
    assert sum(s["label"] not in CATEGORIES for s in shapes) == 2


def test_every_fault_is_where_the_contents_say(sample: Path, contents: dict[str, Any]) -> None:
    documents = _documents(sample)
    files = {m["kind"]: documents[m["file"]] for m in contents["mess"]}
    assert len(files) == 12
    sizes = {
        name: cv2.imread(str(sample / "images" / f"{Path(name).stem}.jpg")).shape[:2]
        for name in documents
    }
    wrong = [n for n, d in documents.items() if (d["imageHeight"], d["imageWidth"]) != sizes[n]]
    assert len(wrong) == 2
    assert [d for d in files.values() if d["imageData"]] == [
        files["imageData holds the picture itself"]
    ]
    assert sum(d["imagePath"] != n.replace(".json", ".jpg") for n, d in documents.items()) == 2
    lowest = min(x for d in documents.values() for s in d["shapes"] for x, _ in s["points"])
    assert lowest == -2.5


def test_the_video_shows_every_category_and_its_truth_fits(sample: Path) -> None:
    truth = json.loads((sample / "video_truth.json").read_text())
    with av.open(str(sample / "video.mp4")) as source:
        stream = source.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 640, 360)
        assert stream.average_rate == 24
        frames = sum(1 for _ in source.decode(stream))
    assert frames == len(truth["images"]) == 192
    names = {c["id"]: c["name"] for c in truth["categories"]}
    assert set(names.values()) == CATEGORIES
    annotations = truth["annotations"]
    assert [a["id"] for a in annotations] == list(range(1, len(annotations) + 1))
    assert {a["image_id"] for a in annotations} == set(range(frames))
    assert {names[a["category_id"]] for a in annotations} == CATEGORIES
    boxes = np.array([a["bbox"] for a in annotations])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= [640, 360]).all()
    assert all(0 < a["area"] <= a["bbox"][2] * a["bbox"][3] for a in annotations)


def test_a_piece_moves_steadily_from_frame_to_frame(sample: Path) -> None:
    """A box that jumped would be a truth that does not fit the pictures."""
    truth = json.loads((sample / "video_truth.json").read_text())
    last: dict[int, tuple[int, np.ndarray[Any, Any]]] = {}
    for a in truth["annotations"]:
        x, y, w, h = a["bbox"]
        corners = np.array([x, y, x + w, y + h])
        frame, before = last.get(a["track_id"], (-2, corners))
        # one of two opposite corners may move more, where the piece is uncovered or hidden
        if frame == a["image_id"] - 1:
            assert np.abs(corners - before).min() <= 10
        last[a["track_id"]] = (a["image_id"], corners)
