"""The same real objects, put down by hand in several formats, read back to the pixel.

The COCO file is read and drawn by pycocotools, and nothing of ours.
"""

from __future__ import annotations

import base64
import csv
import io
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detect_tl.core.masks import draw_mask
from tests.formats.makers import document, read, text

# pycocotools is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

_LIMIT = 40
_BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf".split(",")
_MASKS = "MaskPath,ImageID,LabelName,BoxXMin,BoxXMax,BoxYMin,BoxYMax".split(",")

Coco = Any
Pair = tuple[Any, list[Any]]


@pytest.fixture(scope="module")
def coco(shared: Path) -> Coco:
    from pycocotools.coco import COCO

    folder = shared / "data/coco_coco128_0hye"
    found = COCO(str(folder / "annotations/instances_train2017.json"))
    found.folder = folder
    found.names = {c["id"]: c["name"] for c in found.dataset["categories"]}
    return found


def pairs(coco: Coco) -> Iterator[Pair]:
    """Some images with objects, the ones with crowds among them."""
    known = {p.name: p for p in coco.folder.rglob("*.jpg")}
    crowds = [i for i, found in coco.imgToAnns.items() if any(a["iscrowd"] for a in found)]
    for number in dict.fromkeys([*crowds, *sorted(coco.imgToAnns)][:_LIMIT]):
        record = {**coco.imgs[number], "path": known[coco.imgs[number]["file_name"]]}
        yield record, coco.imgToAnns[number]


def copied(record: Any, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(record["path"], folder))


def table(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def corners(found: Any) -> tuple[float, float, float, float]:
    x, y, w, h = found["bbox"]
    return x, y, x + w, y + h


def as_supervisely(coco: Coco, root: Path) -> None:
    for record, objects in pairs(coco):
        name = copied(record, root / "train/img").name
        size = {"height": record["height"], "width": record["width"]}
        made = [
            {
                "classTitle": coco.names[found["category_id"]],
                "geometryType": "bitmap",
                "bitmap": _patch(coco.annToMask(found)),
            }
            for found in objects
        ]
        document(root / f"train/ann/{name}.json", {"tags": [], "size": size, "objects": made})


def _patch(drawn: Any) -> Any:
    ys, xs = np.nonzero(drawn)
    left, top = int(xs.min()), int(ys.min())
    picture = Image.fromarray(drawn[top : ys.max() + 1, left : xs.max() + 1])
    picture.putpalette([0, 0, 0, 255, 255, 255])
    data = io.BytesIO()
    picture.save(data, "PNG", transparency=0)
    packed = base64.b64encode(zlib.compress(data.getvalue())).decode()
    return {"data": packed, "origin": [left, top]}


def as_datumaro(coco: Coco, root: Path) -> None:
    ids = list(coco.names)
    items = []
    for record, objects in pairs(coco):
        made: list[Any] = []
        for found in objects:
            more = {"group": found["id"], "label_id": ids.index(found["category_id"])}
            if found["iscrowd"]:
                packed = coco.annToRLE(found)
                rle = {"size": packed["size"], "counts": packed["counts"].decode()}
                crowd = {"is_crowd": True}
                made.append({"type": "mask", "rle": rle, "attributes": crowd, **more})
                continue
            parts = found["segmentation"]
            made += [{"type": "polygon", "points": points, **more} for points in parts]
        name = copied(record, root / "images/train").name
        size = [record["height"], record["width"]]
        items.append({"id": name[:-4], "annotations": made, "image": {"path": name, "size": size}})
    labels = {"label": {"labels": [{"name": name, "parent": ""} for name in coco.names.values()]}}
    document(root / "annotations/train.json", {"categories": labels, "items": items})


def as_open_images(coco: Coco, root: Path) -> None:
    boxes, masks = [_BOXES], [_MASKS]
    (root / "masks").mkdir(parents=True)
    for record, objects in pairs(coco):
        image = copied(record, root / "train").stem
        w, h = record["width"], record["height"]
        for found in objects:
            x1, y1, x2, y2 = corners(found)
            code, place = f"/m/{found['category_id']}", [x1 / w, x2 / w, y1 / h, y2 / h]
            picture = f"{image}_{found['id']}.png"
            Image.fromarray(coco.annToMask(found) * 255).save(root / "masks" / picture)
            boxes.append([image, "xclick", code, 1, *place, found["iscrowd"]])
            masks.append([picture, image, code, *place])
    table(root / "train-annotations-bbox.csv", boxes)
    table(root / "train-annotations-object-segmentation.csv", masks)
    named = [[f"/m/{number}", name] for number, name in coco.names.items()]
    table(root / "class-descriptions-boxable.csv", named)


def as_table(coco: Coco, root: Path) -> None:
    rows: list[list[Any]] = [["filename", "class", "xmin", "ymin", "xmax", "ymax", "iscrowd"]]
    for record, objects in pairs(coco):
        name = copied(record, root).name
        for found in objects:
            label = coco.names[found["category_id"]]
            rows.append([name, label, *corners(found), found["iscrowd"]])
    table(root / "train_labels.csv", rows)


def as_create_ml(coco: Coco, root: Path) -> None:
    made = []
    for record, objects in pairs(coco):
        annotations = []
        for found in objects:
            x, y, w, h = found["bbox"]
            centre = {"x": x + w / 2, "y": y + h / 2, "width": w, "height": h}
            label = coco.names[found["category_id"]]
            annotations.append({"label": label, "coordinates": centre})
        made.append({"image": copied(record, root / "train").name, "annotations": annotations})
    document(root / "train/_annotations.createml.json", made)


def as_kitti(coco: Coco, root: Path) -> None:
    for record, objects in pairs(coco):
        name = copied(record, root / "training/image_2").stem
        rows = ""
        for found in objects:
            label = coco.names[found["category_id"]].replace(" ", "_")
            rows += f"{label} 0 0 0 {' '.join(map(str, corners(found)))} 0 0 0 0 0 0 0\n"
        text(root / f"training/label_2/{name}.txt", rows)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (as_supervisely, {"mask"}),
        (as_datumaro, {"mask", "crowd"}),
        (as_open_images, {"box", "mask", "crowd"}),
        (as_table, {"box", "crowd"}),
        (as_create_ml, {"box"}),
        (as_kitti, {"box"}),
    ],
)
def test_the_same_objects(
    coco: Coco, tmp_path: Path, written: Callable[[Coco, Path], None], kept: set[str]
) -> None:
    written(coco, tmp_path)
    result = read(tmp_path)
    assert not result.report.findings
    samples = {s.image.name: s for s in result.dataset.samples}
    assert len(samples) == len(list(pairs(coco)))
    for record, objects in pairs(coco):
        sample = samples[record["path"].name]
        assert sample.split == "train"
        assert len(sample.instances) == len(objects)
        for item, found in zip(sample.instances, objects, strict=True):
            name = result.dataset.names[item.category].replace("_", " ")
            assert name == coco.names[found["category_id"]]
            assert item.iscrowd == ("crowd" in kept and bool(found["iscrowd"]))
            if "box" in kept:
                assert item.box == pytest.approx(corners(found), abs=1e-9)
            assert (item.mask is not None) == ("mask" in kept)
            if item.mask is not None:
                assert (draw_mask(item.mask, sample.size) == coco.annToMask(found)).all()
