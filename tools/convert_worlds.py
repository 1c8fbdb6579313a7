"""Made-up data sets of any size, whose images are real headers with hardly any pixels behind them.

Used by bench_convert.py: what it measures is annotations, not the copying of photographs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

SIZES = ((640, 480), (480, 640), (640, 427), (500, 375))
CLASSES = [f"class {k + 1}" for k in range(80)]
# COCO train2017 has 860,001 annotations on 118,287 images, with some 20 vertices to an outline.
OBJECTS_PER_IMAGE = 7.3


@dataclass(frozen=True)
class Picture:
    """One image and its objects: classes, boxes (N, 4) xyxy in pixels, and outlines."""

    name: str
    size: tuple[int, int]
    classes: list[int]
    boxes: NDArray[np.float64]
    outlines: list[NDArray[np.float64]]


def pictures(count: int, prefix: str) -> Iterator[Picture]:
    rng = np.random.default_rng(count)
    for number in range(count):
        size = SIZES[int(rng.integers(len(SIZES)))]
        outlines = [_outline(rng, size) for _ in range(rng.poisson(OBJECTS_PER_IMAGE))]
        boxes = np.asarray([[*o.min(axis=0), *o.max(axis=0)] for o in outlines]).reshape(-1, 4)
        classes = rng.integers(len(CLASSES), size=len(outlines)).tolist()
        yield Picture(f"{prefix}{number:08d}.jpg", size, classes, boxes, outlines)


def _outline(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    half = rng.uniform(8, np.asarray(size) / 2) / 2
    middle = rng.uniform(half, size - half)
    corners = int(rng.gamma(2, 9)) + 4
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.7, 1, (corners, 1))
    return np.round(middle + around * half, 2)


def write_coco(folder: Path, images: int) -> int:
    """`train2017/`, `val2017/` (a tenth) and `annotations/`; return the number of objects."""
    total = 0
    (folder / "annotations").mkdir(parents=True)
    for split, count in (("train2017", images - images // 10), ("val2017", images // 10)):
        (folder / split).mkdir()
        listed, annotations = [], []
        for number, picture in enumerate(pictures(count, split[0]), start=1):
            _write_header(folder / split / picture.name, picture.size)
            listed.append(_coco_image(picture, number))
            for record in _coco_objects(picture):
                total += 1
                annotations.append({**record, "image_id": number, "id": total})
        document = {
            "info": {},
            "licenses": [],
            "images": listed,
            "annotations": annotations,
            "categories": [
                {"supercategory": "", "id": k + 1, "name": n} for k, n in enumerate(CLASSES)
            ],
        }
        path = folder / "annotations" / f"instances_{split}.json"
        path.write_bytes(orjson.dumps(document))
    return total


def _coco_image(picture: Picture, number: int) -> dict[str, object]:
    w, h = picture.size
    address = f"http://images.example.org/train2017/{picture.name}"
    return {"file_name": picture.name, "coco_url": address, "height": h, "width": w, "id": number}


def _coco_objects(picture: Picture) -> Iterator[dict[str, object]]:
    for category, box, outline in zip(
        picture.classes, picture.boxes, picture.outlines, strict=True
    ):
        x1, y1, x2, y2 = box.tolist()
        w, h = round(x2 - x1, 2), round(y2 - y1, 2)
        yield {
            "segmentation": [outline.reshape(-1).tolist()],
            "area": round(w * h * 0.7, 4),
            "iscrowd": 0,
            "bbox": [x1, y1, w, h],
            "category_id": category + 1,
        }


def write_voc(folder: Path, images: int) -> int:
    """`JPEGImages/`, `Annotations/` and `ImageSets/Main`; return the number of objects."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    total, stems = 0, []
    for picture in pictures(images, "v"):
        _write_header(folder / "JPEGImages" / picture.name, picture.size)
        stem = Path(picture.name).stem
        stems.append(stem)
        (folder / "Annotations" / f"{stem}.xml").write_text(_voc(picture))
        total += len(picture.classes)
    labels = "".join(f"{name}:{k},{k},{k}::\n" for k, name in enumerate(CLASSES, start=1))
    (folder / "labelmap.txt").write_text(f"# label:color_rgb:parts:actions\n{labels}")
    edge = images - images // 10
    (folder / "ImageSets/Main/train.txt").write_text("\n".join(stems[:edge]) + "\n")
    (folder / "ImageSets/Main/val.txt").write_text("\n".join(stems[edge:]) + "\n")
    return total


def _voc(picture: Picture) -> str:
    w, h = picture.size
    objects = "".join(
        f"\t<object>\n\t\t<name>{CLASSES[category]}</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{x1:.0f}</xmin>\n\t\t\t<ymin>{y1:.0f}</ymin>\n"
        f"\t\t\t<xmax>{x2 + 1:.0f}</xmax>\n\t\t\t<ymax>{y2 + 1:.0f}</ymax>\n"
        "\t\t</bndbox>\n\t</object>\n"
        for category, (x1, y1, x2, y2) in zip(picture.classes, picture.boxes.tolist(), strict=True)
    )
    return (
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{picture.name}</filename>\n"
        f"\t<size>\n\t\t<width>{w}</width>\n\t\t<height>{h}</height>\n\t\t<depth>3</depth>\n"
        f"\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _write_header(path: Path, size: tuple[int, int]) -> None:
    """A JPEG that says it is of this size, holds 8x8 pixels, and differs from all others."""
    data = _header(size)
    name = path.name.encode()
    comment = b"\xff\xfe" + (len(name) + 2).to_bytes(2, "big") + name
    path.write_bytes(data[:2] + comment + data[2:])


def _header(size: tuple[int, int], known: dict[tuple[int, int], bytes] = {}) -> bytes:  # noqa: B006 - a cache
    if size not in known:
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), "grey").save(stream, "JPEG")
        data = bytearray(stream.getvalue())
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = size[1].to_bytes(2, "big") + size[0].to_bytes(2, "big")
        known[size] = bytes(data)
    return known[size]
