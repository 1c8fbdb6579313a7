"""A data set with everything in it that checks look for, different for every seed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from tests.formats.makers import coco, image

SIZE = (100, 80)
_NAMES = ((1, "cat"), (2, "Cat"), (3, "dogs"), (4, "dog"), (5, "never"), (9, "bicycle"))


def messy(root: Path, seed: int, count: int = 40) -> Path:
    """Write `count` images in three splits, most of them odd, and a COCO file for each split."""
    rng = np.random.default_rng(seed)
    for split in ("train", "valid", "test"):
        (root / split).mkdir(parents=True, exist_ok=True)
    records: dict[str, list[tuple[int, str]]] = {"train": [], "valid": [], "test": []}
    objects: dict[str, list[dict[str, Any]]] = {split: [] for split in records}
    pictures: list[Path] = []
    for number in range(1, count + 1):
        split = str(rng.choice(list(records), p=[0.6, 0.2, 0.2]))
        path = root / split / f"{number:03}.jpg"
        if _picture(path, rng, pictures):
            pictures.append(path)
        records[split].append((number, path.name))
        for _ in range(int(rng.integers(0, 6))):
            objects[split].append(_object(number, rng))
    image(root / "train" / "unlisted.jpg")
    shutil.copyfile(pictures[0], root / "test" / "unlisted.jpg")
    for split, listed in records.items():
        coco(root / split / "_annotations.coco.json", listed, objects[split], _NAMES, SIZE)
    return root


def _picture(path: Path, rng: np.random.Generator, others: list[Path]) -> bool:
    """Write a picture of some kind, or none; whether it is sound. others: that are."""
    noise = rng.integers(0, 255, (10, 10, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)
    kind = int(rng.integers(0, 12))
    if kind == 0 and others:
        shutil.copyfile(others[int(rng.integers(len(others)))], path)
    elif kind == 1:
        smooth.convert("L").save(path)
    elif kind == 2:
        smooth.convert("RGBA").save(path, format="PNG")
    elif kind == 3:
        smooth.convert("CMYK").save(path)
    elif kind == 4:
        smooth.save(path)
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == 5:
        smooth.resize((40, 400)).save(path)
    elif kind == 6 and others:
        with Image.open(others[0]) as model:
            ImageEnhance.Brightness(model.convert("RGB")).enhance(0.8).save(path)
    elif kind == 7:
        image(path, SIZE, orientation=6)
    elif kind != 8:
        smooth.save(path)
    return kind not in (4, 8)


def _object(image_id: int, rng: np.random.Generator) -> dict[str, Any]:
    x, y, w, h = (float(v) for v in rng.integers(0, 60, 4))
    box = [
        [x, y, w, h],
        [x + 50, y, w, h],
        [x, y, -w, h],
        [x, y, 0, h],
        [x, y, 0.5, 0.5],
        [300, 300, 5, 5],
        [10, 10, 30, 30],
        [10, 10, 30, 30.5],
    ][int(rng.integers(8))]
    bow = [x, y, x + 20, y + 20, x + 20, y, x, y + 20]
    shapes: list[Any] = [
        None,
        [],
        [bow],
        [[x, y, x + 20, y, x + 20, y + 20]],
        [[x, y, x + 90, y, x + 90, y + 90]],
        [[x, y, x + 5, y]],
        [[5, 5, 9, 9, 13, 13]],
        [[x, y, x + 20, y, x + 20, y + 20], [70, 70, 75, 70, 75, 75]],
        {"size": [80, 100], "counts": [3000, 500, 4500]},
        {"size": [80, 100], "counts": [7000, 1000]},
        {"size": [100, 80], "counts": [3000, 500, 4500]},
    ]
    found: dict[str, Any] = {"image_id": image_id, "bbox": box}
    found["category_id"] = int(rng.choice([1, 1, 1, 1, 2, 3, 4, 4, 9]))
    shape = shapes[int(rng.integers(len(shapes)))]
    if shape is not None:
        found["segmentation"] = shape
    if rng.random() < 0.1:
        found["iscrowd"] = 1
    return found
