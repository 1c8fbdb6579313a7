"""Renders the toy world to disk in YOLO layout, on several processes."""

from __future__ import annotations

import json
import multiprocessing
from functools import partial
from pathlib import Path

import cv2

from tools.worlds.toy_scene import toy_picture, yolo_lines
from tools.worlds.toys import TOYS

_VAL_OFFSET = 1_000_000


def write_toy_set(
    folder: Path, *, train: int, val: int, size: int, seed: int, jobs: int = 1
) -> Path:
    """Write `train` and `val` pictures of size x size with labels; return the data.yaml.

    Pictures already there are kept: a rendering that was stopped goes on where it was.
    """
    tasks = [("train", i) for i in range(train)] + [("val", i + _VAL_OFFSET) for i in range(val)]
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(jobs, cv2.setNumThreads, (1,)) as pool:
        write = partial(_write_one, folder, size, seed)
        for done, _ in enumerate(pool.imap_unordered(write, tasks, chunksize=16), 1):
            if done % 500 == 0:
                print(f"rendered {done} of {len(tasks)}", flush=True)
    names = json.dumps(dict(enumerate(TOYS)))
    data = folder / "data.yaml"
    data.write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames: {names}\n"
    )
    return data


def _write_one(folder: Path, size: int, seed: int, task: tuple[str, int]) -> None:
    split, index = task
    image = folder / "images" / split / f"{index:07d}.jpg"
    label = folder / "labels" / split / f"{index:07d}.txt"
    if label.is_file():
        return
    picture, things = toy_picture(seed, index, size)
    cv2.imwrite(str(image), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    label.write_text("".join(f"{line}\n" for line in yolo_lines(things, size)))
