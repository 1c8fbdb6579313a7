"""What `label` writes, as the tools that open it find it. The model is real, its answers exact."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from detect_tl import api
from detect_tl.api.labelling import LabelResult
from detect_tl.core.dataset import Dataset, Instance
from detect_tl.core.errors import DataError, DetectTLError, UsageError, WeightsError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask
from detect_tl.formats.detect import read_dataset
from tests.formats.makers import read
from tests.runtime.conftest import picture

WRITTEN = ["coco", "cvat", "label-studio", "labelme", "voc", "yolo"]

# Cells of 8 pixels: what covers one wholly has score 1, what covers half of it 0.5.
RED, GREEN, HALF = (8, 8, 16, 16, "red"), (32, 40, 40, 48, "green"), (48, 16, 52, 24, "blue")


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Four pictures: two objects, a doubted one, nothing, and a copy of the first."""
    folder = tmp_path / "shots"
    (folder / "deep").mkdir(parents=True)
    pictures = {"a.png": (RED, GREEN), "b.png": (HALF,), "deep/a.png": (), "z.png": (RED, GREEN)}
    for name, cells in pictures.items():
        cv2.imwrite(str(folder / name), picture(64, 64, *cells))
    return folder


def labelled(model: Path, shots: Path, **settings: Any) -> LabelResult:
    settings = {"out": shots.parent / "out", "backend": "onnxruntime", **settings}
    return api.label(model, shots, **settings)


def by_image(dataset: Dataset) -> dict[str, list[Instance]]:
    return {sample.image.name: list(sample.instances) for sample in dataset.samples}


def confirmed(folder: Path) -> None:
    """What Label Studio does when somebody submits its predictions as they are."""
    path = folder / "label-studio/train.json"
    tasks = read_json(path)
    for task in tasks:
        (prediction,) = task.pop("predictions")
        task["annotations"] = [{"result": prediction["result"], "was_cancelled": False}]
    path.write_text(json.dumps(tasks))


def test_it_counts_images_and_objects(detect_model: Path, shots: Path) -> None:
    result = labelled(detect_model, shots)
    assert (result.images, result.without) == (4, 1)
    assert result.objects == {"red": 2, "green": 2, "blue": 1}
    assert (result.backend, result.ranking, result.order) == ("onnxruntime", None, None)
    assert not result.report.lost
    assert json.loads(json.dumps(result.as_json()))["images_without_objects"] == 1
    said = read_json(result.folder / "provenance.json")
    assert said["images"]["train/a.png"] == str(shots / "a.png")
    assert (said["options"]["conf"], len(said["model_sha256"])) == (0.25, 64)


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
def test_every_format_reads_back_as_it_was_found(
    kind: str,
    masks: bool,
    detect_model: Path,
    segment_model: Path,
    shots: Path,
) -> None:
    result = labelled(segment_model if masks else detect_model, shots, to=[kind])
    if kind == "label-studio":
        confirmed(result.folder)
    back = read(result.folder, kind).dataset
    assert back.names == ["red", "green", "blue"]
    assert all(sample.image.parent == result.folder / "images/train" for sample in back.samples)
    expected = {
        "a.png": [(0, Box(8, 8, 16, 16), 1.0), (1, Box(32, 40, 40, 48), 1.0)],
        "b.png": [(2, Box(48, 16, 56, 24), 0.5)],
        "deep__a.png": [],
        "z.png": [(0, Box(8, 8, 16, 16), 1.0), (1, Box(32, 40, 40, 48), 1.0)],
    }
    found = by_image(back)
    assert len(found) == len(expected)
    for items, wanted in zip(found.values(), expected.values(), strict=True):
        assert [item.category for item in items] == [category for category, _, _ in wanted]
        for item, (_, box, score) in zip(items, wanted, strict=True):
            if masks:
                assert isinstance(item.mask, PolygonMask)
            else:
                assert np.allclose(item.box, box, atol=1e-6)
            if kind != "yolo":
                assert float(str(item.attributes["score"])) == score


def test_all_formats_tell_of_the_same_masks(segment_model: Path, shots: Path) -> None:
    result = labelled(segment_model, shots, to=WRITTEN)
    confirmed(result.folder)
    accounts = []
    for kind in WRITTEN:
        samples = sorted(read(result.folder, kind).dataset.samples, key=lambda s: s.image.name)
        accounts.append([item.mask for sample in samples for item in sample.instances])
    for account in accounts[1:]:
        for mask, other in zip(account, accounts[0], strict=True):
            assert isinstance(mask, PolygonMask)
            assert isinstance(other, PolygonMask)
            assert np.allclose(mask.parts[0], other.parts[0], atol=1e-6)


def test_label_studio_gets_predictions_and_their_scores(
    detect_model: Path,
    shots: Path,
) -> None:
    """The tool shows predictions beside its own labels, and sorts tasks by their score."""
    result = labelled(detect_model, shots, to=["label-studio"])
    tasks = read_json(result.folder / "label-studio/train.json")
    view = ElementTree.parse(result.folder / "label-studio/config.xml").getroot()
    controls = {control.get("name"): control.tag.lower() for control in view}
    for task in tasks:
        assert task["annotations"] == []
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "colours.onnx"
        for region in prediction["result"]:
            assert controls[region["from_name"]] == region["type"]
            assert (region["origin"], region["original_width"]) == ("prediction", 64)
        scores = [region["score"] for region in prediction["result"]]
        assert prediction.get("score") == (np.mean(scores) if scores else None)
    # nobody has confirmed them, so they are nothing to train on
    report = Report()
    with pytest.raises(DataError, match="no image could be read"):
        read_dataset(result.folder, report=report)
    assert (report.lost["predictions"], report.lost["images-not-annotated"]) == (4, 4)


def addresses(folder: Path) -> Iterator[Path]:
    """Where each tool looks for the pictures of what was written."""
    for path in (folder / "labelme/train").glob("*.json"):
        yield path.parent / read_json(path)["imagePath"]
        # LabelMe opens a folder of pictures, and looks in --output for a file called like each
        assert (folder / "images/train" / path.name).with_suffix(".png").is_file()
    for task in read_json(folder / "label-studio/train.json"):
        address = urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/"
        yield folder / parse_qs(address.query)["d"][0]
    for image in ElementTree.parse(folder / "cvat/train.xml").iter("image"):
        yield folder / "images/train" / image.attrib["name"]
    for path in (folder / "voc/Annotations").glob("*.xml"):
        yield folder / "voc" / str(ElementTree.parse(path).findtext("path"))
    for record in read_json(folder / "annotations/train.json")["images"]:
        yield folder / "images/train" / record["file_name"]


@pytest.mark.parametrize("link", ["copy", "hard", "soft"])
def test_every_tool_finds_the_pictures(
    link: Any,
    detect_model: Path,
    shots: Path,
) -> None:
    result = labelled(detect_model, shots, to=WRITTEN, link=link)
    shutil.move(result.folder, shots.parent / "elsewhere")
    found = list(addresses(shots.parent / "elsewhere"))
    assert len(found) == 5 * 4
    assert all(path.is_file() for path in found)
    assert set(result.opening) == {"LabelMe", "CVAT", "Label Studio"}
    assert all(str(result.folder) in how for how in result.opening.values())


@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
def test_ultralytics_and_pycocotools_read_the_same(
    masks: bool,
    detect_model: Path,
    segment_model: Path,
    shots: Path,
) -> None:
    import detect_tl.models.yolo  # noqa: F401 - first, for it keeps Ultralytics quiet and offline

    from pycocotools.coco import COCO  # isort: skip
    from pycocotools.mask import area  # isort: skip
    from ultralytics.data.dataset import YOLODataset

    result = labelled(segment_model if masks else detect_model, shots, to=["yolo", "coco"])
    task = "segment" if masks else "detect"
    data = {"names": dict(enumerate(["red", "green", "blue"])), "channels": 3}
    loader = YOLODataset(
        img_path=str(result.folder / "images/train"), data=data, task=task, augment=False
    )
    theirs = {
        Path(label["im_file"]).name: (label["cls"].ravel(), label["bboxes"] * 64)
        for label in loader.labels
    }
    coco = COCO(str(result.folder / "annotations/train.json"))
    for record in coco.loadImgs(coco.getImgIds()):
        items = coco.loadAnns(coco.getAnnIds(record["id"]))
        classes, boxes = theirs[record["file_name"]]
        names = [coco.loadCats(item["category_id"])[0]["name"] for item in items]
        assert [data["names"][int(k)] for k in classes] == names
        for (x, y, w, h), (cx, cy, bw, bh) in zip((i["bbox"] for i in items), boxes, strict=True):
            assert np.allclose([x + w / 2, y + h / 2, w, h], [cx, cy, bw, bh], atol=1e-3)
        if masks:
            areas = [area(coco.annToRLE(item)) for item in items]
            assert areas == [item["area"] for item in items]
            assert all(areas)


def test_what_was_corrected_is_trained_on(detect_model: Path, shots: Path) -> None:
    """The folder is a source of annotations as any other, in the tool's format alone."""
    result = labelled(detect_model, shots, to=["labelme"])
    path = result.folder / "labelme/train/b.json"
    document = read_json(path)
    document["shapes"][0]["label"] = "green"
    path.write_text(json.dumps(document))
    made = api.convert(result.folder, shots.parent / "mine", split=(0.5, 0.5))
    assert made.format == "labelme"
    assert made.classes == {"red": 2, "green": 3, "blue": 0}


def test_confidence_and_classes_choose(detect_model: Path, shots: Path) -> None:
    for place, (settings, objects) in enumerate(
        [
            ({"conf": 0.6}, [2, 2, 0]),
            ({"conf": {"red": 1.0, "blue": 0.4}}, [0, 2, 1]),
            ({"classes": ["red", 2]}, [2, 0, 1]),
            ({"max_det": 1, "conf": 0.6}, [2, 0, 0]),
        ]
    ):
        result = labelled(detect_model, shots, out=shots.parent / str(place), **settings)
        assert list(result.objects.values()) == objects, settings
        # what is not written counts for the ranking all the same, and the other way round
        ranked = labelled(
            detect_model, shots, out=shots.parent / f"{place}-ranked", rank=True, **settings
        )
        assert ranked.objects == result.objects


def test_limit_takes_the_first_names(detect_model: Path, shots: Path) -> None:
    result = labelled(detect_model, shots, limit=2)
    assert sorted(path.name for path in (result.folder / "images/train").iterdir()) == [
        "a.png",
        "b.png",
    ]


# -- ranked -----------------------------------------------------------------------------------


def rows(result: LabelResult) -> list[dict[str, str]]:
    assert result.ranking is not None
    with result.ranking.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_doubted_comes_first_and_copies_last(
    detect_model: Path,
    shots: Path,
) -> None:
    result = labelled(detect_model, shots, rank=True, limit=1)
    assert [path.name for path in (result.folder / "images/train").iterdir()] == ["b.png"]
    table = rows(result)
    assert list(table[0]) == ["order", "image", "uncertainty", "distance", "why"]
    assert [row["order"] for row in table] == ["1", "2", "3", "4"]
    assert table[0]["image"] == str(shots / "b.png")
    assert table[0]["why"] == "doubts 1 blue; nothing was labelled before it"
    assert (table[0]["uncertainty"], table[0]["distance"]) == ("4", "")
    assert table[-1]["why"].endswith("looks the same as a.png")
    assert (table[-1]["image"], table[-1]["distance"]) == (str(shots / "z.png"), "0")
    said = result.as_json()
    assert said["images_ranked"] == 4
    assert said["ranked_by"].startswith("colours and edges")


def test_what_is_labelled_is_left_out_and_no_longer_new(
    detect_model: Path,
    shots: Path,
) -> None:
    before = labelled(detect_model, shots, limit=2, out=shots.parent / "before")
    result = labelled(detect_model, shots, rank=True, labelled=before.folder)
    # b.png is among them, and z.png has the content of a.png
    assert [Path(row["image"]).name for row in rows(result)] == ["a.png"]
    assert rows(result)[0]["image"] == str(shots / "deep/a.png")
    assert float(rows(result)[0]["distance"]) > 0
    assert result.report.changed["images-labelled-already"] == 3
    with pytest.raises(DataError, match="no image to label"):
        labelled(detect_model, shots / "a.png", labelled=before.folder, out=shots.parent / "no")


def test_the_same_call_gives_the_same_bytes(detect_model: Path, shots: Path) -> None:
    one = labelled(detect_model, shots, rank=True, out=shots.parent / "1", to=WRITTEN)
    two = labelled(detect_model, shots, rank=True, out=shots.parent / "2", to=WRITTEN)
    files = [path.relative_to(one.folder) for path in one.folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert (one.folder / path).read_bytes() == (two.folder / path).read_bytes(), path


@pytest.mark.slow
def test_a_checkpoint_is_asked_for_its_features(
    small_checkpoint: Path,
    shots: Path,
) -> None:
    """They are what its backbone says, and the ranking does not change what is found."""
    settings = {"backend": "torch", "imgsz": 64, "conf": 0.001, "max_det": 5}
    plain = labelled(small_checkpoint, shots, out=shots.parent / "plain", **settings)
    result = labelled(small_checkpoint, shots, rank=True, **settings)
    assert result.as_json()["ranked_by"] == "features of the model's backbone"
    assert result.objects == plain.objects
    assert {Path(row["image"]) for row in rows(result)} == set(shots.rglob("*.png"))
    assert float(rows(result)[-1]["distance"]) == pytest.approx(0, abs=1e-4)
    assert Path(rows(result)[-1]["image"]).name == "z.png"


# -- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        ({"to": ["labelm"]}, UsageError, "labelm"),
        ({"to": ["kitti"]}, UsageError, "can be read, but not written"),
        ({"to": []}, UsageError, "no format"),
        ({"conf": "auto"}, UsageError, "keeps no thresholds"),
        ({"conf": 1.5}, UsageError, "conf is 1.5"),
        ({"classes": ["rad"]}, UsageError, "no class 'rad'"),
        ({"limit": 0}, UsageError, "limit is 0"),
        ({"link": "sym"}, UsageError, "sym"),
        ({"backend": "torch"}, UsageError, "torch does not run"),
        ({"labelled": "nowhere"}, DataError, "nowhere"),
        ({"images": "nowhere"}, DataError, "nowhere"),
        ({"images": "0"}, UsageError, "is no image"),
        ({"model": "none.onnx"}, WeightsError, "none.onnx"),
    ],
)
def test_what_cannot_be_used_leaves_nothing(
    settings: dict[str, Any],
    kind: type[DetectTLError],
    says: str,
    detect_model: Path,
    shots: Path,
) -> None:
    given = {"model": detect_model, "images": shots, "out": shots.parent / "out"}
    with pytest.raises(kind) as refused:
        api.label(**{**given, "backend": "onnxruntime", **settings})
    assert says in str(refused.value)
    assert [path.name for path in shots.parent.iterdir()] == ["shots"]


def test_it_does_not_write_among_its_own_images(detect_model: Path, shots: Path) -> None:
    with pytest.raises(UsageError, match="lies inside the source"):
        labelled(detect_model, shots, out=shots / "labels")
    (shots.parent / "out").mkdir()
    (shots.parent / "out/mine.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        labelled(detect_model, shots)


def test_an_interruption_leaves_nothing(
    detect_model: Path,
    shots: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detect_tl.api.ordering.Order.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        labelled(detect_model, shots, rank=True)
    assert [path.name for path in shots.parent.iterdir()] == ["shots"]


def test_what_is_no_image_is_named_and_the_rest_labelled(
    detect_model: Path,
    shots: Path,
) -> None:
    (shots / "c.png").write_text("no image")
    result = labelled(detect_model, shots)
    assert result.images == 4
    assert result.report.lost == {"images": 1}
    (finding,) = result.report.of("error")
    assert finding.path == shots / "c.png"
