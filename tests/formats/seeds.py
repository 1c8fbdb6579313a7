"""A small sound folder in every format, for laws that hold for all readers.

Every seed describes two images of 100x80 pixels, called a.jpg and b.jpg unless its format has names
of its own, with a shape of each kind that it knows.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.formats.makers import coco, document, image, labelme, text, voc, voc_object

SIZE = (100, 80)
OUTLINE = [[10.5, 10.0], [40.0, 12.0], [30.0, 60.0], [12.0, 50.0]]
FLAT = [value for point in OUTLINE for value in point]
# A block of 20x10 pixels at (30, 40), as runs down the columns.
RUNS = [30 * 80 + 40, 10, *([70, 10] * 19), 100 * 80 - (49 * 80 + 50)]


def images(root: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        image(root / name, SIZE)


def png(width: int = 20, height: int = 10) -> bytes:
    """A white picture, as tools store the mask of an object."""
    stream = io.BytesIO()
    Image.fromarray(np.full((height, width), 255, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def seed_coco(root: Path) -> None:
    images(root)
    one = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 50]}
    shapes = [
        one,
        {**one, "segmentation": [FLAT, [60, 20, 80, 20, 70, 40]], "attributes": {"wet": True}},
        {**one, "category_id": 2, "segmentation": {"size": [80, 100], "counts": RUNS}},
        {"image_id": 2, "category_id": 2, "bbox": [1, 1, 9, 9], "iscrowd": 1, "score": 0.5},
    ]
    coco(root / "instances.json", [(1, "a.jpg"), (2, "b.jpg")], shapes)


def seed_createml(root: Path) -> None:
    images(root)
    box = {"label": "cat", "coordinates": {"x": 30, "y": 40, "width": 20, "height": 10}}
    rows = [
        {"image": "a.jpg", "annotations": [box, {**box, "label": "dog", "confidence": 0.5}]},
        {"image": "b.jpg", "annotations": [box]},
    ]
    document(root / "_annotations.createml.json", rows)


def seed_csv(root: Path) -> None:
    images(root)
    rows = [
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        "a.jpg,100,80,cat,10,20,30.5,40",
        "a.jpg,100,80,dog,1,2,30,40",
        '"b.jpg",100,80,"cat",0,0,100,80',
    ]
    text(root / "labels.csv", "\n".join(rows) + "\n")


def seed_cvat(root: Path) -> None:
    images(root)
    points = ";".join(f"{x},{y}" for x, y in OUTLINE)
    box = 'label="cat" occluded="1" z_order="0"'
    runs = ",".join(map(str, [0, 200]))
    text(
        root / "annotations.xml",
        "<annotations><version>1.1</version><meta><task><name>t</name><labels>"
        "<label><name>cat</name></label><label><name>dog</name></label></labels></task></meta>"
        '<image id="0" name="a.jpg" width="100" height="80">'
        f'<box {box} xtl="10" ytl="10" xbr="40" ybr="60">'
        '<attribute name="wet">yes</attribute></box>'
        f'<box {box} xtl="10" ytl="10" xbr="40" ybr="60" rotation="30.5"></box>'
        f'<polygon label="dog" occluded="0" points="{points}" z_order="0"></polygon>'
        f'<mask label="dog" occluded="0" rle="{runs}" left="30" top="40" width="20" height="10"'
        ' z_order="0"></mask>'
        f'<ellipse {box} cx="50" cy="40" rx="20" ry="10"></ellipse>'
        '</image><image id="1" name="b.jpg" width="100" height="80">'
        f'<box {box} xtl="1" ytl="1" xbr="9" ybr="9"></box></image></annotations>\n',
    )


def seed_datumaro(root: Path) -> None:
    images(root)
    base = {"id": 0, "attributes": {"wet": True}, "group": 0, "label_id": 0, "z_order": 0}
    shapes = [
        {**base, "type": "bbox", "bbox": [10, 10, 30, 50]},
        {**base, "type": "polygon", "points": FLAT, "group": 1},
        {**base, "type": "ellipse", "points": [10, 10, 40, 50]},
        {**base, "type": "rotated_bbox", "points": [50, 40, 20, 10, 30]},
        {**base, "type": "mask", "label_id": 1, "rle": {"counts": RUNS, "size": [80, 100]}},
    ]
    labels = [{"name": "cat", "parent": "", "attributes": []}, {"name": "dog"}]
    items = [
        {"id": name, "annotations": found, "image": {"path": f"{name}.jpg", "size": [80, 100]}}
        for name, found in (("a", shapes), ("b", shapes[:1]))
    ]
    value = {"info": {}, "categories": {"label": {"labels": labels}}, "items": items}
    document(root / "annotations/train.json", value)


def seed_kitti(root: Path) -> None:
    row = "Car 0.10 2 -1.57 10 20 30.5 40 1.5 1.6 3.9 -1.2 1.4 20.5 -1.6\n"
    for name in ("a", "b"):
        image(root / f"image_2/{name}.jpg", SIZE)
        text(root / f"label_2/{name}.txt", row + row.replace("Car", "Van"))


def seed_labelme(root: Path) -> None:
    images(root)
    corners = [[30, 40], [50, 50]]
    shapes: list[dict[str, Any]] = [
        {"label": "cat", "points": corners, "shape_type": "rectangle", "group_id": None},
        {"label": "cat", "points": OUTLINE, "shape_type": "polygon", "group_id": 1},
        {"label": "dog", "points": corners, "shape_type": "circle", "flags": {"wet": True}},
        {"label": "dog", "points": corners, "shape_type": "mask", "mask": packed(png())},
    ]
    labelme(root / "a.json", "a.jpg", shapes)
    labelme(root / "b.json", "b.jpg", shapes[:1])


def seed_mot(root: Path) -> None:
    rows = ["1,1,10,20,30,40,1,1,0.9", "1,2,1,2,30,40,0,3,0.5", "2,1,12,20,30,40,1,1,1"]
    text(root / "seq/gt/gt.txt", "\n".join(rows) + "\n")
    info = "[Sequence]\nname=seq\nimDir=img1\nframeRate=30\nseqLength=2\nimWidth=100\nimHeight=80\n"
    text(root / "seq/seqinfo.ini", f"{info}imExt=.jpg\n")
    for name in ("000001", "000002"):
        image(root / f"seq/img1/{name}.jpg", SIZE)


def seed_openimages(root: Path) -> None:
    images(root)
    text(root / "class-descriptions-boxable.csv", "/m/01,Cat\n/m/02,Dog\n")
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated"
    rows = [
        f"{header},IsGroupOf,IsDepiction,IsInside",
        "a,xclick,/m/01,1,0.1,0.4,0.2,0.5,0,0,0,0,0",
        "a,xclick,/m/02,1,0.3,0.5,0.5,0.625,1,1,1,0,0",
        "b,xclick,/m/01,1,0,1,0,1,0,0,0,1,1",
    ]
    text(root / "train-annotations-bbox.csv", "\n".join(rows) + "\n")


def seed_supervisely(root: Path) -> None:
    classes = [{"title": "cat", "shape": "any"}, {"title": "dog", "shape": "any"}]
    document(root / "meta.json", {"classes": classes, "tags": []})
    one = {"id": 1, "classTitle": "cat", "tags": [{"name": "wet", "value": None}]}
    points = {"exterior": OUTLINE, "interior": []}
    shapes = [
        {**one, "geometryType": "polygon", "points": points},
        {**one, "geometryType": "rectangle", "points": {**points, "exterior": OUTLINE[::2]}},
        {
            **one,
            "classTitle": "dog",
            "geometryType": "bitmap",
            "bitmap": {"data": packed(zlib.compress(png())), "origin": [30, 40]},
        },
    ]
    for name, found in (("a.jpg", shapes), ("b.jpg", shapes[:1])):
        image(root / f"set/img/{name}", SIZE)
        value = {"size": {"height": 80, "width": 100}, "tags": [], "objects": found}
        document(root / f"set/ann/{name}.json", value)


def seed_voc(root: Path) -> None:
    images(root)
    outline = "".join(
        f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate(OUTLINE, start=1)
    )
    extra = f"<difficult>1</difficult><polygon>{outline}</polygon>"
    objects = [voc_object("cat", 10, 10, 40, 60, extra=extra), voc_object("dog", 1, 2, 30.5, 40)]
    voc(root / "a.xml", "a.jpg", *objects)
    voc(root / "b.xml", "b.jpg", objects[1])


def seed_yolo(root: Path) -> None:
    row = "0 0.3 0.4 0.2 0.1\n"
    outline = " ".join(f"{x / 100} {y / 80}" for x, y in OUTLINE)
    for name, rows in (("a", f"{row}1 {outline}\n"), ("b", row)):
        image(root / f"images/train/{name}.jpg", SIZE)
        text(root / f"labels/train/{name}.txt", rows)
    text(root / "data.yaml", "path: .\ntrain: images/train\nnames:\n  0: cat\n  1: dog\n")


Seed = Callable[[Path], None]
SEEDS: dict[str, Seed] = {
    name.removeprefix("seed_"): made
    for name, made in list(globals().items())
    if name.startswith("seed_")
}

_PICTURES = frozenset({".jpg", ".png"})


def annotations_of(root: Path) -> list[Path]:
    """The files of a seed that are no pictures."""
    return sorted(p for p in root.rglob("*") if p.is_file() and p.suffix not in _PICTURES)


def as_tree(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
