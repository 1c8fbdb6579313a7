"""The truth of one split: COCO JSON, checked once where it enters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import CategoryIndex
from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.geometry import Box, RleMask, Size, rle_to_bitmap
from detect_tl.core.rle import decode_counts

Rle = dict[str, Any]
"""Run lengths as pycocotools packs them: {"size": [height, width], "counts": bytes}."""


@dataclass(frozen=True, slots=True)
class TruthImage:
    """One image of the split: its file as the JSON names it, and its upright size."""

    id: int
    file_name: str
    size: Size


@dataclass(frozen=True, slots=True)
class TruthObject:
    """One object. category: index into `Truth.names`. mask: None where the truth has a box only."""

    image_id: int
    category: int
    box: Box
    area: float
    iscrowd: bool
    mask: Rle | None


@dataclass(frozen=True, slots=True)
class Truth:
    """What there is to find. Categories of the same name are one.

    open: whole images as crowds of the classes that were not looked for in them, so that what is
        found of these counts neither for nor against a model.
    """

    names: tuple[str, ...]
    images: tuple[TruthImage, ...]
    objects: tuple[TruthObject, ...]
    open: tuple[TruthObject, ...] = ()

    def size_of(self) -> dict[int, Size]:
        return {image.id: image.size for image in self.images}


def load_truth(source: Path | Mapping[str, Any], *, masks: bool = False) -> Truth:
    """Read COCO JSON, from a file or already parsed; masks are packed only when asked for.

    Raises DataError, naming the file and the annotation, for what pycocotools would stumble over.
    """
    path = source if isinstance(source, Path) else None
    data = read_json(source) if isinstance(source, Path) else source
    try:
        return _parse(data, masks=masks)
    except _BadTruthError as error:
        raise DataError(
            str(error),
            path=path,
            hint="The truth must be COCO JSON: images, annotations, categories.",
        ) from error


class _BadTruthError(Exception):
    """What is wrong, without the file, which only the caller knows."""


def _parse(data: Any, *, masks: bool) -> Truth:
    if not isinstance(data, Mapping) or not {"images", "annotations", "categories"} <= set(data):
        raise _BadTruthError("is not COCO instances: it needs images, annotations and categories")
    names = CategoryIndex()
    by_id = {item["id"]: names.add(str(item["name"])) for item in data["categories"]}
    images = tuple(_image(item) for item in data["images"])
    sizes = {image.id: image.size for image in images}
    if len(sizes) != len(images):
        raise _BadTruthError("several images have the same id")
    objects = []
    for item in data["annotations"]:
        if item.get("image_id") not in sizes or item.get("category_id") not in by_id:
            raise _BadTruthError(f"annotation {item.get('id')} names an unknown image or category")
        objects.append(_object(item, by_id[item["category_id"]], sizes[item["image_id"]], masks))
    open_ = [
        _whole(image, by_id[category])
        for image, item in zip(images, data["images"], strict=True)
        for category in item.get("not_exhaustive_category_ids") or ()
        if category in by_id
    ]
    called = tuple(c.name for c in names.categories())
    return Truth(called, images, tuple(objects), tuple(open_))


def _whole(image: TruthImage, category: int) -> TruthObject:
    """A crowd of a class that fills an image."""
    width, height = image.size
    box = Box(0.0, 0.0, float(width), float(height))
    return TruthObject(image.id, category, box, box.area, iscrowd=True, mask=None)


def _image(item: Mapping[str, Any]) -> TruthImage:
    try:
        size = Size(int(item["width"]), int(item["height"]))
        return TruthImage(int(item["id"]), str(item.get("file_name", "")), size)
    except (KeyError, TypeError, ValueError) as error:
        raise _BadTruthError(f"image {item.get('id')} lacks an id, a width or a height") from error


def _object(item: Mapping[str, Any], category: int, size: Size, masks: bool) -> TruthObject:
    try:
        box = Box.from_xywh(*(float(value) for value in item["bbox"]))
        mask = pack_mask(item.get("segmentation"), size) if masks else None
        area = float(item["area"]) if item.get("area") is not None else box.area
    except (KeyError, TypeError, ValueError) as error:
        raise _BadTruthError(f"annotation {item.get('id')} cannot be used: {error}") from error
    return TruthObject(item["image_id"], category, box, area, bool(item.get("iscrowd")), mask)


def pack_mask(segmentation: Any, size: Size) -> Rle | None:
    """Turn a COCO segmentation (polygons, run lengths or packed ones) into packed run lengths.

    Returns None where there is no outline: absent, empty, or only rings of fewer than 3 points,
    which pycocotools would take for boxes. Raises ValueError when it is none of these, or when
    its size is not the image's.
    """
    from pycocotools import mask as coder

    height, width = size.height, size.width
    if isinstance(segmentation, Mapping):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"its mask is {segmentation['size']}, the image {[height, width]}")
        counts = segmentation["counts"]
        if isinstance(counts, str | bytes):  # pycocotools reads beyond the end of a damaged one
            counts = decode_counts(counts)
        if sum(counts) != height * width:
            raise ValueError("its run lengths do not add up to the size of the image")
        runs = {"size": [height, width], "counts": list(counts)}
        return dict(coder.frPyObjects(runs, height, width))
    rings = [list(map(float, ring)) for ring in segmentation or () if len(ring) >= 6]
    if not rings:
        return None
    return dict(coder.merge(coder.frPyObjects(rings, height, width)))


def unpack_mask(mask: Rle) -> NDArray[np.bool_]:
    """Draw packed run lengths as an (height, width) array."""
    height, width = mask["size"]
    runs = RleMask(tuple(decode_counts(mask["counts"])), Size(width, height))
    return rle_to_bitmap(runs).astype(np.bool_)


def truth_detections(truth: Truth, image_id: int, names: Sequence[str]) -> Detections:
    """The objects of one image as detections of score 1, to be drawn beside a model's own.

    names: the model's; objects of a class that it does not know are left out.
    """
    known = {name: index for index, name in enumerate(names)}
    found = [
        item
        for item in truth.objects
        if item.image_id == image_id and truth.names[item.category] in known and not item.iscrowd
    ]
    if not found:
        return Detections.empty()
    masks = [unpack_mask(item.mask) for item in found if item.mask is not None]
    return Detections(
        np.array([item.box for item in found], np.float32),
        np.ones(len(found), np.float32),
        np.array([known[truth.names[item.category]] for item in found], np.int64),
        np.stack(masks) if len(masks) == len(found) else None,
    )
