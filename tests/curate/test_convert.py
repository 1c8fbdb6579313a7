"""Conversion: whole or not at all, the same bytes twice, and readable by everybody else."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.curate import folder as room, placing
from detect_tl.curate.convert import convert
from detect_tl.formats.detect import is_prepared, read_dataset
from detect_tl.formats.options import ReadOptions
from tests.formats.makers import coco, image, labelme, text, voc, voc_object

CAT, DOG = voc_object("cat", 10, 20, 30, 40), voc_object("dog", 50, 10, 90, 70)
TRIANGLE = [[10, 10], [60, 10], [10, 50]]


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Twelve images with boxes as VOC, without splits; one of them is a background image."""
    source = tmp_path / "source"
    for k in range(12):
        image(source / f"{k:02}.jpg")
        if k:
            voc(source / f"{k:02}.xml", f"{k:02}.jpg", CAT, *([DOG] if k % 3 == 0 else []))
    return source


@pytest.fixture
def outlines(tmp_path: Path) -> Path:
    """Ten images with polygons as LabelMe, one object in two parts, one a plain box."""
    source = tmp_path / "source"
    for k in range(10):
        image(source / f"{k}.jpg")
        shapes: list[dict[str, Any]] = [
            {"label": "cat", "points": TRIANGLE, "shape_type": "polygon", "group_id": 1},
            {"label": "cat", "points": [[70, 60], [90, 60], [90, 79]], "group_id": 1},
            {"label": "dog", "points": [[5, 60], [25, 75]], "shape_type": "rectangle"},
        ]
        labelme(source / f"{k}.json", f"{k}.jpg", shapes)
    return source


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def test_the_folder_is_as_designed(boxes: Path, tmp_path: Path) -> None:
    result = convert(boxes, tmp_path / "out")
    assert result.folder == tmp_path / "out"
    assert sorted(p.name for p in result.folder.iterdir()) == [
        "annotations",
        "data.yaml",
        "images",
        "labels",
        "provenance.json",
        "report.html",
        "report.json",
    ]
    data = yaml.safe_load(result.data_yaml.read_text())
    assert data == {
        "train": "images/train",
        "val": "images/val",
        "test": "images/test",
        "names": {0: "cat", 1: "dog"},
    }
    for split, count in result.split.counts().items():
        images = {p.stem for p in (result.folder / "images" / split).iterdir()}
        labels = {p.stem for p in (result.folder / "labels" / split).iterdir()}
        assert len(images) == count
        assert images == labels  # an image without objects has an empty label
    assert result.task == "detect"
    assert result.format == "voc"


def test_what_was_written_is_in_the_result_and_reads_back(boxes: Path, tmp_path: Path) -> None:
    result = convert(boxes, tmp_path / "out")
    assert is_prepared(result.folder)
    assert not is_prepared(boxes)
    back = read_dataset(result.folder)
    assert back.format == "prepared"
    assert back.dataset.names == result.dataset.names
    for before, after in zip(result.dataset.samples, back.dataset.samples, strict=True):
        assert (before.image, before.size, before.split) == (after.image, after.size, after.split)
        assert before.instances == after.instances
        assert before.image.is_file()
    again = read_dataset(result.folder, options=ReadOptions("yolo")).dataset
    assert again.objects_per_class() == back.dataset.objects_per_class()


def test_a_second_run_gives_the_same_bytes(boxes: Path, tmp_path: Path) -> None:
    first, second = convert(boxes, tmp_path / "1"), convert(boxes, tmp_path / "2")
    assert files(first.folder) == files(second.folder)
    other = convert(boxes, tmp_path / "3", seed=1)
    assert other.split.splits != first.split.splits


def test_a_converted_folder_converts_to_itself(outlines: Path, tmp_path: Path) -> None:
    first = convert(outlines, tmp_path / "1")
    second = convert(first.folder, tmp_path / "2")
    a, b = files(first.folder), files(second.folder)
    reports = {"report.json", "report.html", "provenance.json"}
    assert {k: v for k, v in a.items() if k not in reports} == {
        k: v for k, v in b.items() if k not in reports
    }


def test_pycocotools_reads_what_is_written(outlines: Path, tmp_path: Path) -> None:
    result = convert(outlines, tmp_path / "out")
    ids: set[int] = set()
    for path in sorted((result.folder / "annotations").iterdir()):
        with redirect_stdout(StringIO()):
            loaded = COCO(str(path))
        for annotation in loaded.anns.values():
            assert annotation["id"] > 0
            assert annotation["id"] not in ids
            ids.add(annotation["id"])
            rle = loaded.annToRLE(annotation)
            from pycocotools import mask as mask_utils

            assert float(mask_utils.area(rle)) == pytest.approx(annotation["area"], rel=0.05)
            x, y, w, h = mask_utils.toBbox(rle)
            assert np.allclose([x, y, x + w, y + h], _corners(annotation["bbox"]), atol=1.5)
    assert len(ids) == 20


def _corners(bbox: list[float]) -> list[float]:
    x, y, w, h = bbox
    return [x, y, x + w, y + h]


def test_segmentation_labels_are_outlines_throughout(outlines: Path, tmp_path: Path) -> None:
    result = convert(outlines, tmp_path / "out")
    assert result.task == "segment"
    rows = (result.folder / "labels/train").iterdir()
    for row in (line for path in rows for line in path.read_text().splitlines()):
        assert len(row.split()) >= 7
        assert all(0 <= float(v) <= 1 for v in row.split()[1:])
    assert result.report.changed["boxes-made-outlines"] == 10
    assert result.report.lost["yolo-joined-parts"] == 10


def test_a_task_can_be_asked_for(outlines: Path, tmp_path: Path) -> None:
    result = convert(outlines, tmp_path / "out", task="detect")
    label = next((result.folder / "labels/train").iterdir())
    assert [len(row.split()) for row in label.read_text().splitlines()] == [5, 5]
    assert result.report.lost["yolo-outlines"] == 10
    # the COCO files keep what they can
    document = json.loads((result.folder / "annotations/train.json").read_text())
    assert any(a["segmentation"] for a in document["annotations"])


def test_only_the_formats_asked_for_are_written(boxes: Path, tmp_path: Path) -> None:
    result = convert(boxes, tmp_path / "out", to=["coco"])
    assert not (result.folder / "labels").exists()
    assert not result.data_yaml.exists()
    result = convert(boxes, tmp_path / "out2", to=["yolo"])
    assert not (result.folder / "annotations").exists()
    assert read_dataset(result.folder).format == "yolo"


@pytest.mark.parametrize("link", ["copy", "hard", "soft"])
def test_images_are_placed_as_asked(boxes: Path, tmp_path: Path, link: Any) -> None:
    result = convert(boxes, tmp_path / "out", link=link)
    sample = result.dataset.samples[0]
    original = boxes / sample.image.name
    assert sample.image.read_bytes() == original.read_bytes()
    assert sample.image.is_symlink() == (link == "soft")
    assert sample.image.samefile(original) == (link != "copy")


@pytest.mark.parametrize("link", ["hard", "soft"])
def test_an_image_that_training_would_rewrite_is_never_linked(
    boxes: Path, tmp_path: Path, link: Any
) -> None:
    """Ultralytics saves a JPEG with bytes after its end anew, through any link."""
    original = boxes / "03.jpg"
    original.write_bytes(original.read_bytes() + b"from a telephone")
    result = convert(boxes, tmp_path / "out", link=link)
    (placed,) = (s.image for s in result.dataset.samples if s.image.name == "03.jpg")
    assert not placed.samefile(original)
    assert result.report.changed == {"images-copied-not-linked": 1}


def test_images_of_one_name_are_renamed_after_their_folders(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in ("one", "two", "three"):
        for k in range(3):
            image(source / folder / f"{k}.jpg")
            voc(source / folder / f"{k}.xml", f"{k}.jpg", CAT)
    image(source / "one" / "other.jpg")
    image(source / "one" / "other.png")
    result = convert(source, tmp_path / "out")
    names = sorted(s.image.name for s in result.dataset.samples)
    assert names == sorted(
        [f"{folder}_{k}.jpg" for folder in ("one", "two", "three") for k in range(3)]
        + ["one_other.jpg", "one_other-2.png"]
    )
    assert result.report.changed["images-renamed"] == 11
    assert len({Path(name).stem for name in names}) == 11


def test_the_report_names_every_problem(boxes: Path, tmp_path: Path) -> None:
    bad = voc_object("cat", 5, 5, 5, 9)
    voc(boxes / "01.xml", "01.jpg", CAT, bad, voc_object("Cat", -20, 5, 20, 9))
    voc(boxes / "gone.xml", "gone.jpg", CAT)
    cut = boxes / "02.jpg"
    cut.write_bytes(cut.read_bytes()[:-50])
    result = convert(boxes, tmp_path / "out")
    report = json.loads((result.folder / "report.json").read_text())
    assert report["lost"] == {
        "images": 2,
        "objects-without-image": 2,
        "zero-area-boxes": 1,
    }
    assert report["changed"] == {"boxes-clipped": 1, "classes-merged": 1}
    codes = report["findings_by_code"]
    for code in ("box.zero-area", "box.out-of-bounds", "image.missing", "image.truncated"):
        assert codes[code] == 1
    paths = {f["path"] for f in report["findings"]}
    assert {"01.xml", "gone.xml", "02.jpg"} <= paths
    assert str(tmp_path) not in (result.folder / "report.html").read_text()


def test_provenance_says_where_it_came_from(boxes: Path, tmp_path: Path) -> None:
    result = convert(boxes, tmp_path / "out", split=(0.5, 0.5), seed=7)
    known = json.loads((result.folder / "provenance.json").read_text())
    assert known["tool"] == "detect-tl"
    assert known["source"] == str(boxes)
    assert known["format"] == "voc"
    assert known["options"] == {
        "to": ["yolo", "coco"],
        "split": [0.5, 0.5],
        "seed": 7,
        "link": "copy",
    }
    before = known["annotations"]
    assert before["files"] == 11
    voc(boxes / "01.xml", "01.jpg", CAT, DOG)
    changed = convert(boxes, tmp_path / "out2")
    after = json.loads((changed.folder / "provenance.json").read_text())["annotations"]
    assert after["sha256"] != before["sha256"]


def test_pixels_and_labels_agree_for_an_image_that_is_stored_sideways(tmp_path: Path) -> None:
    """Labels are fractions of the image that OpenCV, and with it Ultralytics, reads."""
    import cv2

    source = tmp_path / "source"
    picture = Image.new("RGB", (120, 80))
    picture.paste((255, 255, 255), (90, 10, 110, 20))  # as stored
    exif = picture.getexif()
    exif[0x0112] = 6
    for k in range(2):
        (source / "images").mkdir(parents=True, exist_ok=True)
        picture.save(source / f"images/{k}.jpg", exif=exif, quality=100 - k)
    box = {"category_id": 1, "bbox": [90, 10, 20, 10]}
    names = [(k, f"{k}.jpg") for k in range(2)]
    objects = [{"image_id": k, **box} for k in range(2)]
    coco(source / "a.json", names, objects, size=(120, 80))
    result = convert(source, tmp_path / "out", split=(0.5, 0.5))
    sample = result.dataset.samples[0]
    seen = cv2.imread(str(sample.image))
    assert seen.shape[:2] == (sample.size.height, sample.size.width)
    x1, y1, x2, y2 = (round(v) for v in sample.instances[0].box)
    assert seen[y1:y2, x1:x2].mean() > 200
    assert seen.mean() < 20


def test_the_destination_is_not_touched_when_it_is_in_use(boxes: Path, tmp_path: Path) -> None:
    text(tmp_path / "out/mine.txt", "mine")
    with pytest.raises(UsageError, match="already exists and is not empty"):
        convert(boxes, tmp_path / "out")
    assert files(tmp_path / "out") == {"mine.txt": b"mine"}


@pytest.mark.parametrize("inside", ["", "out", "deep/out"])
def test_a_destination_inside_the_source_is_refused(
    boxes: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(boxes)
    with pytest.raises(UsageError, match=r"inside the source|already exists"):
        convert(Path(), Path(inside))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"to": ["kitti"]}, "KITTI can be read, but not written"),
        ({"to": ["yolov5"]}, "unknown format 'yolov5'"),
        ({"to": []}, "no format to write"),
        ({"link": "sym"}, "unknown way to link 'sym'"),
        ({"task": "pose"}, "unknown task 'pose'"),
        ({"split": (0.9, 0.2)}, "impossible"),
        ({"reading": ReadOptions("cocoo")}, "unknown format 'cocoo'"),
    ],
)
def test_options_that_cannot_be_met(
    boxes: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        convert(boxes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_one_image_cannot_be_divided(tmp_path: Path) -> None:
    image(tmp_path / "source/a.jpg")
    voc(tmp_path / "source/a.xml", "a.jpg", CAT)
    with pytest.raises(DataError, match="leaves no image for val"):
        convert(tmp_path / "source", tmp_path / "out")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["place_file", "write_report", "write_json"])
def test_a_run_that_fails_leaves_nothing_behind(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, at: str
) -> None:
    calls: Iterator[int] = iter(range(1000))

    def fail(*_: object) -> None:
        if at != "place_file" or next(calls) == 3:
            raise failure

    monkeypatch.setattr(placing if at == "place_file" else room, at, fail)
    wanted = MachineError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(wanted):
        convert(boxes, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


def test_a_prepared_folder_that_was_edited_is_refused(boxes: Path, tmp_path: Path) -> None:
    result = convert(boxes, tmp_path / "out")
    path = result.folder / "annotations/train.json"
    document = json.loads(path.read_text())
    del document["images"][0]["width"]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="not what `convert` wrote") as caught:
        read_dataset(result.folder)
    assert caught.value.path == path


def test_a_prepared_folder_that_lost_an_image_says_so(boxes: Path, tmp_path: Path) -> None:
    result = convert(boxes, tmp_path / "out")
    result.dataset.samples[0].image.unlink()
    report = read_dataset(result.folder).report
    assert report.count("image.missing") == 1
    assert report.lost["images"] == 1
