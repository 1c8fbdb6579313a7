"""Small images and annotation files, written where a test asks for them."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from detect_tl.core.findings import Report
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import ReadOptions

_ORIENTATION = 0x0112


def image(path: Path, size: tuple[int, int] = (100, 80), orientation: int = 1) -> Path:
    """Write an image of `size` pixels as stored; the name decides its colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    # Of the name alone: the folder's holds a number that differs from one test run to the next.
    colour = zlib.crc32(path.name.encode()).to_bytes(4, "big")[:3]
    Image.new("RGB", size, tuple(colour)).save(path, exif=exif)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def document(path: Path, value: Any) -> Path:
    return text(path, json.dumps(value))


def voc_object(name: str, *corners: object, extra: str = "") -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object>\n<name>{name}</name>{extra}<bndbox>{box}</bndbox></object>\n"


def voc(path: Path, filename: str, *objects: str, size: tuple[int, int] | None = (100, 80)) -> Path:
    declared = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    body = f"<filename>{filename}</filename>\n{declared}\n{''.join(objects)}"
    return text(path, f"<annotation>\n{body}</annotation>\n")


def coco(
    path: Path,
    images: Sequence[tuple[int, str]],
    annotations: Sequence[dict[str, Any]],
    categories: Sequence[tuple[int, str]] = ((1, "cat"), (2, "dog")),
    size: tuple[int, int] = (100, 80),
) -> Path:
    w, h = size
    return document(
        path,
        {
            "images": [{"id": k, "file_name": name, "width": w, "height": h} for k, name in images],
            "annotations": [{"id": k, **a} for k, a in enumerate(annotations, start=1)],
            "categories": [{"id": k, "name": name} for k, name in categories],
        },
    )


def labelme(path: Path, image_path: str, shapes: Sequence[dict[str, Any]], **more: Any) -> Path:
    value = {"imagePath": image_path, "imageHeight": 80, "imageWidth": 100, "imageData": None}
    return document(path, {"version": "5.0", "shapes": list(shapes), **value, **more})


def shard(path: Path, files: Mapping[str, bytes], **options: Any) -> Path:
    """A tar file as other programs write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def read(path: Path, from_format: str | None = None, **options: Any) -> ReadResult:
    return read_dataset(path, options=ReadOptions(from_format, **options), report=Report())
