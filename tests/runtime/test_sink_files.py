"""Sinks whose files are data sets: what they write reads back equal, by the formats themselves."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from detect_tl.core.dataset import Sample
from detect_tl.core.detections import Detections
from detect_tl.core.geometry import RleMask
from detect_tl.core.images import read_image
from detect_tl.core.masks import draw_mask
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.frames import Frame, SourceInfo
from detect_tl.runtime.predict import predict
from detect_tl.runtime.sink_crops import folder_names
from detect_tl.runtime.sinks import Place, load_sink, sink_names
from detect_tl.runtime.sources import open_source
from tests.formats.makers import read
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, write_video

NAMES = ("cat", "Пёс", "traffic light")
WIDTH, HEIGHT = 96, 64


def found_in(seed: int, *, masks: bool) -> Detections:
    """Detections at whole pixels, so that no format rounds them; none of them in every fifth."""
    rng = np.random.default_rng(seed)
    n = 0 if seed % 5 == 4 else int(rng.integers(1, 6))
    low = rng.integers(0, (60, 40), (n, 2))
    boxes = np.concatenate([low, low + rng.integers(4, 24, (n, 2))], axis=1)
    bitmaps = np.zeros((n, HEIGHT, WIDTH), bool)
    for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes, strict=True):
        bitmap[y1:y2, x1:x2] = rng.random((y2 - y1, x2 - x1)) > 0.2
        bitmap[y1, x1] = bitmap[y2 - 1, x2 - 1] = True  # the box of the mask is the box
    return Detections(
        boxes.astype(np.float32),
        np.sort(rng.random(n).astype(np.float32))[::-1],
        rng.integers(0, 3, n),
        bitmaps if masks else None,
        np.where(rng.random(n) < 0.3, -1, np.arange(n) + 10),
    )


def frames_of(info: SourceInfo, folder: Path) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for index in range(10):
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        path = None
        if info.kind == "images":
            path = folder / ("deep" if index % 2 else ".") / f"ü{index // 2}.png"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        name = path.relative_to(folder).as_posix() if path else "clip.v2"
        yield Frame(image, index, index / 10, name, path)


@pytest.fixture(params=["images", "video"])
def info(request: pytest.FixtureRequest) -> SourceInfo:
    return SourceInfo(kind=request.param, name="x")


Written = Callable[..., list[tuple[str, Detections]]]


@pytest.fixture
def written(tmp_path: Path, info: SourceInfo) -> Written:
    def write(kind: str, *, masks: bool = False) -> list[tuple[str, Detections]]:
        """Write ten frames; return the names of the pictures with what was found there."""
        out = tmp_path / "out"
        out.mkdir()
        place, told = Place(folder=out, source=info, names=NAMES), []
        with load_sink(kind).open(place) as sink:
            for frame in frames_of(info, tmp_path / "in"):
                found = found_in(frame.index, masks=masks)
                before = frame.image.copy()
                assert sink(frame, found)
                assert np.array_equal(frame.image, before)
                still = info.kind == "images"
                told.append((frame.name if still else f"clip.v2-{frame.index:06d}.jpg", found))
        shutil.rmtree(tmp_path / "in", ignore_errors=True)
        return told

    return write


def by_name(samples: tuple[Sample, ...], folder: Path) -> dict[str, Sample]:
    return {sample.image.relative_to(folder).as_posix(): sample for sample in samples}


def same_boxes(sample: Sample, found: Detections, *, within: float = 1e-4) -> bool:
    boxes = np.array([item.box for item in sample.instances]).reshape(-1, 4)
    classes = [item.category for item in sample.instances]
    return classes == found.class_id.tolist() and np.allclose(boxes, found.xyxy, atol=within)


def bitmaps_of(sample: Sample) -> list[np.ndarray]:
    masks = [item.mask for item in sample.instances]
    assert all(mask is not None for mask in masks)
    return [draw_mask(mask, sample.size) for mask in masks]


class TestYolo:
    def test_boxes(self, written: Written, tmp_path: Path) -> None:
        told = written("yolo")
        result = read(tmp_path / "out" / "yolo")
        assert result.format == "yolo"
        assert result.dataset.names == list(NAMES)
        assert not result.report.lost
        samples = by_name(result.dataset.samples, tmp_path / "out" / "yolo" / "images")
        assert samples.keys() == {name for name, _ in told}
        assert all(same_boxes(samples[name], found) for name, found in told)
        assert {sample.split for sample in samples.values()} == {"train"}

    def test_masks(self, written: Written, tmp_path: Path) -> None:
        told = written("yolo", masks=True)
        result = read(tmp_path / "out" / "yolo")
        samples = by_name(result.dataset.samples, tmp_path / "out" / "yolo" / "images")
        for name, found in told:
            # Parts and holes are joined by bridges of no width: the same but for a few pixels.
            for bitmap, mask in zip(bitmaps_of(samples[name]), found.mask, strict=True):
                assert (bitmap & mask).sum() / (bitmap | mask).sum() > 0.9


class TestLabelMe:
    @pytest.mark.parametrize("masks", [False, True])
    def test_all_of_it(self, written: Written, tmp_path: Path, masks: bool) -> None:
        told = written("labelme", masks=masks)
        result = read(tmp_path / "out" / "labelme")
        assert result.format == "labelme"
        assert result.dataset.names == list(NAMES)
        assert not result.report.lost
        samples = by_name(result.dataset.samples, tmp_path / "out" / "labelme")
        assert samples.keys() == {name for name, _ in told}
        for name, found in told:
            assert same_boxes(samples[name], found)
            attributes = [item.attributes for item in samples[name].instances]
            assert [a["score"] for a in attributes] == pytest.approx(found.score, abs=1e-5)
            assert [a.get("track_id", -1) for a in attributes] == found.track_id.tolist()
            if masks:
                assert all(isinstance(i.mask, RleMask) for i in samples[name].instances)
                for bitmap, mask in zip(bitmaps_of(samples[name]), found.mask, strict=True):
                    assert np.array_equal(bitmap, mask)


def test_a_table(written: Written, tmp_path: Path) -> None:
    told = written("csv")
    path = tmp_path / "out" / "detections.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(found) for _, found in told)
    numbers = [int(row["track_id"] or -1) for row in rows]
    assert numbers == [number for _, found in told for number in found.track_id.tolist()]
    assert {row["time"] for row in rows if row["frame"] == "3"} == {"0.3"}
    # With the pictures beside it, it is a data set like any other.
    for name, _ in told:
        picture_path = tmp_path / "out" / name
        picture_path.parent.mkdir(exist_ok=True)
        Pil.new("RGB", (WIDTH, HEIGHT)).save(picture_path)
    result = read(tmp_path / "out")
    assert result.format == "csv"
    samples = by_name(result.dataset.samples, tmp_path / "out")
    order = [NAMES.index(name) for name in result.dataset.names]
    with_rows = [(name, found) for name, found in told if len(found)]
    assert samples.keys() == {name for name, _ in with_rows}
    for name, found in with_rows:
        items = samples[name].instances
        assert [order[item.category] for item in items] == found.class_id.tolist()
        assert np.allclose([item.box for item in items], found.xyxy)
        assert [i.attributes["score"] for i in items] == pytest.approx(found.score, abs=1e-5)


def test_crops(tmp_path: Path) -> None:
    image = picture(64, 64, (8, 16, 24, 32, "red"), (40, 40, 64, 64, "blue"))
    boxes = np.array([[8, 16, 24, 32], [40, 40, 64, 64], [63.5, 63.5, 64, 64]], np.float32)
    score, class_id = np.array([0.9, 0.8, 0.7], np.float32), np.array([1, 0, 0])
    found = Detections(boxes, score, class_id, track_id=np.array([7, -1, 8]))
    place = Place(folder=tmp_path, source=SourceInfo(kind="video", name="v"), names=["a/b", "a b"])
    with load_sink("crops").open(place) as write:
        assert write(Frame(image, 3, 0.3, "v"), found)
    base = tmp_path / "crops"
    names = sorted(path.relative_to(base).as_posix() for path in base.rglob("*.jpg"))
    assert names == ["a b/v-000003-id7-1.jpg", "a_b/v-000003-2.jpg", "a_b/v-000003-id8-3.jpg"]
    red, blue, corner = (read_image(base / name) for name in names)
    assert red.shape == (16, 16, 3)
    assert red.mean(axis=(0, 1)) == pytest.approx([0, 0, 255], abs=3)
    assert blue.shape == (24, 24, 3)
    assert corner.shape == (1, 1, 3)


def test_folders_of_classes_are_apart_and_safe() -> None:
    names = ["cat", "Cat", "..", "a/b", "a:b", "\0", "..\\x", "x" * 300]
    folders = folder_names(names)
    assert folders[0] == "cat"
    assert len({folder.casefold() for folder in folders}) == len(names)
    assert all(folder.strip(" .") and not set(folder) & set("/\\:\0") for folder in folders)
    assert all(len(folder) < 120 for folder in folders)


def test_two_pictures_never_share_their_labels(detect_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, colour in (("a.png", "red"), ("a.jpg", "blue"), ("A.bmp", "green")):
        image = picture(64, 64, (8, 16, 16, 24, colour))
        (folder / name).write_bytes(cv2.imencode(name[-4:], image)[1].tobytes())
    for kind in ("yolo", "labelme"):
        result = predict(
            detect_model, folder, PredictConfig(out=tmp_path / kind, save=[kind], conf=0.8)
        )
        back = read(result.files[0]).dataset
        found = {back.names[item.category] for s in back.samples for item in s.instances}
        assert found == {"red", "green", "blue"}
        assert len(back.samples) == 3


def test_a_turned_photo_is_copied_as_it_is(detect_model: Path, tmp_path: Path) -> None:
    """Its pixels lie on their side, and the boxes are those of the upright picture."""
    exif = Pil.Exif()
    exif[0x0112] = 6  # a quarter turn
    source = tmp_path / "a.png"
    upright = picture(64, 64, (8, 16, 16, 24, "red"))
    Pil.fromarray(np.rot90(upright)[..., ::-1].copy()).save(source, exif=exif)
    assert np.array_equal(next(iter(open_source(source))).image, upright)
    result = predict(
        detect_model, source, PredictConfig(out=tmp_path / "out", save=["yolo"], conf=0.8)
    )
    (sample,) = read(result.files[0]).dataset.samples
    assert sample.image.read_bytes() == source.read_bytes()
    assert sample.instances[0].box == pytest.approx((8, 16, 16, 24))


def test_all_sinks_of_a_run_at_once(segment_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(5))
    kinds = [*sink_names()]
    assert {"crops", "csv", "images", "jsonl", "labelme", "video", "yolo"} <= set(kinds)
    result = predict(
        segment_model, video, PredictConfig(out=tmp_path / "out", save=kinds, conf=0.8)
    )
    assert {path.name for path in result.files} == {
        "crops", "detections.csv", "images", "detections.jsonl", "labelme", "v.mp4", "yolo"
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == {p.name for p in result.files}
    # Crops and labels are of the picture as it was, whatever order the sinks have.
    (crop, *_) = sorted((tmp_path / "out" / "crops" / "red").iterdir())
    assert read_image(crop).reshape(-1, 3).mean(axis=0) == pytest.approx([0, 0, 255], abs=12)
