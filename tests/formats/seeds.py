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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.formats.makers import coco, document, image, labelme, shard, text, voc, voc_object

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


def brush() -> list[int]:
    """The block of `RUNS` as Label Studio packs it: repeated bytes of an RGBA picture."""
    pixels = np.zeros((80, 100, 4), np.uint8)
    pixels[40:50, 30:50] = 255
    flat = pixels.reshape(-1)
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    bits = f"{flat.size:032b}" + f"{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    for start, stop in pairwise(edges):
        bits += f"111{stop - start - 1:016b}{int(flat[start]):08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def seed_label_studio(root: Path) -> None:
    images(root)
    more = {"original_width": 100, "original_height": 80, "image_rotation": 0, "from_name": "l"}
    more |= {"to_name": "image"}
    box = {"x": 10, "y": 10, "width": 30, "height": 50, "rotation": 0}
    per_cent = [[x, y / 0.8] for x, y in OUTLINE]
    drawn = [
        ("rectanglelabels", {**box, "rectanglelabels": ["cat"]}),
        ("rectanglelabels", {**box, "rotation": 30, "rectanglelabels": ["dog"]}),
        ("polygonlabels", {"points": per_cent, "closed": True, "polygonlabels": ["cat"]}),
        (
            "ellipselabels",
            {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "ellipselabels": ["cat"]},
        ),
        ("brushlabels", {"format": "rle", "rle": brush(), "brushlabels": ["dog"]}),
    ]
    regions = [
        {**more, "id": f"r{k}", "type": kind, "value": value}
        for k, (kind, value) in enumerate(drawn)
    ]
    tasks = [
        {
            "id": k,
            "data": {"image": f"/data/upload/1/{name}"},
            "annotations": [{"id": k, "was_cancelled": False, "result": found}],
        }
        for k, (name, found) in enumerate((("a.jpg", regions), ("b.jpg", regions[:1])), start=1)
    ]
    document(root / "project-1.json", tasks)


def seed_labelbox(root: Path) -> None:
    images(root)
    box = {"top": 10, "left": 10, "height": 50, "width": 30}
    objects = [
        {"name": "cat", "annotation_kind": "ImageBoundingBox", "bounding_box": box},
        {
            "name": "dog",
            "annotation_kind": "ImagePolygon",
            "polygon": [{"x": x, "y": y} for x, y in OUTLINE],
        },
    ]
    rows = []
    for name, found in (("a.jpg", objects), ("b.jpg", objects[:1])):
        features = [{"feature_id": f"{name}{k}", **item} for k, item in enumerate(found)]
        label = {"label_kind": "Default", "annotations": {"objects": features}}
        row = {
            "data_row": {"id": f"id-{name}", "external_id": name, "row_data": f"https://h/{name}"},
            "media_attributes": {"height": 80, "width": 100},
            "projects": {"p": {"name": "p", "labels": [label]}},
        }
        rows.append(json.dumps(row))
    text(root / "export.ndjson", "\n".join(rows) + "\n")


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


def seed_labelme_web(root: Path) -> None:
    images(root)
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in OUTLINE)
    kinds = ("", "<type>bounding_box</type><occluded>yes</occluded>")
    for name in "ab":
        objects = "".join(
            f"<object><name>{label}</name>{kind}<polygon>{points}</polygon></object>\n"
            for label, kind in zip(("cat", "dog"), kinds, strict=True)
        )
        size = "<imagesize><nrows>80</nrows><ncols>100</ncols></imagesize>"
        head = f"<annotation><filename>{name}.jpg</filename>"
        text(root / f"{name}.xml", f"{head}{objects}{size}</annotation>\n")


def seed_masks(root: Path) -> None:
    for name in ("a", "b"):
        image(root / f"images/{name}.jpg", SIZE)
        for label, corner in (("cat", (30, 40)), ("dog", (60, 20))):
            canvas = Image.new("L", SIZE)
            canvas.paste(255, (*corner, corner[0] + 20, corner[1] + 10))
            path = root / f"masks/{label}/{name}_1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            canvas.save(path)


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


def seed_via(root: Path) -> None:
    images(root)
    xs, ys = [x for x, _ in OUTLINE], [y for _, y in OUTLINE]
    drawn = [
        ("cat", {"name": "rect", "x": 10, "y": 10, "width": 30, "height": 50}),
        ("dog", {"name": "polygon", "all_points_x": xs, "all_points_y": ys}),
        ("cat", {"name": "circle", "cx": 50, "cy": 40, "r": 10}),
        ("cat", {"name": "ellipse", "cx": 50, "cy": 40, "rx": 20, "ry": 10, "theta": 0.5}),
    ]
    regions = [
        {"shape_attributes": shape, "region_attributes": {"class": name}} for name, shape in drawn
    ]
    value = {
        f"{name}1234": {
            "filename": name,
            "size": 1234,
            "regions": found,
            "file_attributes": {},
        }
        for name, found in (("a.jpg", regions), ("b.jpg", regions[:1]))
    }
    document(root / "via_region_data.json", value)


def seed_voc(root: Path) -> None:
    images(root)
    outline = "".join(
        f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate(OUTLINE, start=1)
    )
    extra = f"<difficult>1</difficult><polygon>{outline}</polygon>"
    objects = [voc_object("cat", 10, 10, 40, 60, extra=extra), voc_object("dog", 1, 2, 30.5, 40)]
    voc(root / "a.xml", "a.jpg", *objects)
    voc(root / "b.xml", "b.jpg", objects[1])


def seed_webdataset(root: Path) -> None:
    """Two shards of one picture each, and their index."""
    box = {"category": "cat", "xyxy": [10.5, 10, 40, 60]}
    runs = {"size": [80, 100], "counts": RUNS}
    shapes = [
        box,
        {"category": "dog", "xyxy": [10.5, 10, 40, 60], "polygons": [FLAT], "iscrowd": True},
        {**box, "polygons": [FLAT], "holes": [[20, 20, 25, 20, 22, 25]], "attributes": {"wet": 1}},
        {"category": "dog", "xyxy": [30, 40, 50, 50], "rle": runs},
    ]
    for number, (name, found) in enumerate((("a.jpg", shapes), ("b.jpg", shapes[:1]))):
        picture = image(root / name, SIZE)
        sizes = {"width": SIZE[0], "height": SIZE[1]}
        record = {"file_name": name, "split": "train", **sizes, "objects": found}
        shard(
            root / f"shards/train-{number:06}.tar",
            {"000.jpg": picture.read_bytes(), "000.json": json.dumps(record).encode()},
        )
        picture.unlink()
    listed = [{"file": f"train-{k:06}.tar", "images": 1} for k in range(2)]
    kinds = [{"name": name, "supercategory": ""} for name in ("cat", "dog")]
    value = {"format": "detect-tl shards", "categories": kinds, "shards": listed}
    document(root / "shards.json", value)


def seed_yolo(root: Path) -> None:
    row = "0 0.3 0.4 0.2 0.1\n"
    outline = " ".join(f"{x / 100} {y / 80}" for x, y in OUTLINE)
    for name, rows in (("a", f"{row}1 {outline}\n"), ("b", row)):
        image(root / f"images/train/{name}.jpg", SIZE)
        text(root / f"labels/train/{name}.txt", rows)
    text(root / "data.yaml", "path: .\ntrain: images/train\nnames:\n  0: cat\n  1: dog\n")


Seed = Callable[[Path], None]
SEEDS: dict[str, Seed] = {
    name.removeprefix("seed_").replace("_", "-"): made
    for name, made in list(globals().items())
    if name.startswith("seed_")
}


def annotations_of(root: Path) -> list[Path]:
    """The files of a seed that are no photos: texts, and pictures of masks."""
    return sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".jpg")


def texts_of(root: Path) -> list[Path]:
    return [path for path in annotations_of(root) if path.suffix not in (".png", ".tar")]
