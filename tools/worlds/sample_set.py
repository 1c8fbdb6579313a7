"""Renders the workbench sample and writes it as a LabelMe folder with its usual disorder."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tools.worlds.bench_scene import bench_picture
from tools.worlds.hardware import HARDWARE
from tools.worlds.labelme import document
from tools.worlds.mess import Mess, Record, encode, make_messy

SIZES = ((416, 320), (416, 320), (384, 384), (448, 336), (320, 416))
QUALITY = 76
EMPTY_EVERY, EMPTY_AT = 16, 7
"""One picture in sixteen shows no hardware; most of these have no document at all."""

SIDEWAYS = frozenset({21, 93})
"""Pictures stored turned, with an EXIF orientation, as phones do."""


def build(count: int, seed: int, jobs: int = 1) -> tuple[list[Record], list[Mess]]:
    """Render `count` pictures and their documents; the same arguments give the same bytes."""
    make = partial(record, seed)
    if jobs == 1:
        records = [make(i) for i in range(count)]
    else:
        with multiprocessing.get_context("spawn").Pool(jobs, cv2.setNumThreads, (1,)) as pool:
            records = pool.map(make, range(count), chunksize=4)
    return records, make_messy(records)


def record(seed: int, index: int) -> Record:
    """Picture number `index` of the set, with a clean document."""
    rng = np.random.default_rng([seed, index])
    width, height = SIZES[index % len(SIZES)]
    empty = index % EMPTY_EVERY == EMPTY_AT
    picture, things = bench_picture(rng, width, height, empty=empty)
    name = f"bench_{index:03d}"
    jpeg = encode(picture, QUALITY, sideways=index in SIDEWAYS)
    drawn = document(f"{name}.jpg", width, height, things, rng)
    forgotten = not things and index % (2 * EMPTY_EVERY * 2) != EMPTY_AT
    return Record(name, jpeg, width, height, None if forgotten else drawn)


def write(folder: Path, records: list[Record], mess: list[Mess], seed: int) -> None:
    """Write images/ and contents.json; stale pictures of an earlier, larger set are removed."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    kept = {f"{r.name}{suffix}" for r in records for suffix in (".jpg", ".json")}
    for stale in (p for p in images.iterdir() if p.name not in kept):
        stale.unlink()
    for item in records:
        (images / f"{item.name}.jpg").write_bytes(item.jpeg)
        target = images / f"{item.name}.json"
        if item.document is None:
            target.unlink(missing_ok=True)
        else:
            target.write_text(json.dumps(item.document, indent=2) + "\n", encoding="utf-8")
    text = json.dumps(contents(records, mess, seed), indent=2) + "\n"
    (folder / "contents.json").write_text(text, encoding="utf-8")


def contents(records: list[Record], mess: list[Mess], seed: int) -> dict[str, Any]:
    """What a perfect reader finds in the set: counts after every fault has its right answer."""
    shapes = Counter(
        shape["shape_type"] for r in records if r.document for shape in r.document["shapes"]
    )
    objects: Counter[str] = Counter(dict.fromkeys(HARDWARE, 0))
    grouped = 0
    for item in records:
        found, groups = _objects(item)
        objects.update(found)
        grouped += groups
    return {
        "seed": seed,
        "images": len(records),
        "annotation_files": sum(r.document is not None for r in records),
        "images_without_objects": sum(not _objects(r)[0] for r in records),
        "objects": dict(objects),
        "objects_in_several_parts": grouped,
        "shapes_as_drawn": dict(sorted(shapes.items())),
        "images_turned_by_exif": [f"{r.name}.jpg" for r in records if b"Exif" in r.jpeg[:40]],
        "mess": [asdict(item) for item in mess],
    }


def _objects(item: Record) -> tuple[list[str], int]:
    """Categories of the valid objects of a record, and how many of them have several parts."""
    names: list[str] = []
    groups: dict[int, int] = {}
    for shape in item.document["shapes"] if item.document else []:
        group = shape["group_id"]
        if not _valid(shape) or groups.get(group):
            groups[group] = groups.get(group, 0) + 1
            continue
        if group is not None:
            groups[group] = 1
        names.append(shape["label"].strip().lower())
    return names, sum(n > 1 for g, n in groups.items() if g is not None)


def _valid(shape: dict[str, Any]) -> bool:
    if shape["shape_type"] != "polygon":
        return True
    points = np.array(shape["points"], np.float32)
    return len(points) >= 3 and cv2.contourArea(points) > 0.5
