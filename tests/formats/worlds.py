"""Data sets made up by hypothesis, with everything that the model can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from detect_tl.core.dataset import SPLITS, Category, Dataset, Instance, Sample
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    Ring,
    Size,
    bitmap_to_rle,
    mask_box,
)
from detect_tl.core.masks import draw_mask

SIZES = [Size(320, 240), Size(200, 300)]

words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(" -_.'\"#:,"),
    min_size=1,
    max_size=12,
)
class_names = (
    st.lists(words.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True)
    | st.just(["yes", "null", "1", "- dash"])
    | st.just(["~", "a: b", "0x10", "x" * 200])
)
stems = words.map(lambda word: word.replace("/", "_").strip(" ."))
# As long as `convert` lets them be, in bytes.
long_stems = st.sampled_from(["x" * 190, "\N{SNOWMAN}" * 64])
file_stems = (stems | stems.map(lambda s: f"-{s}")).filter(bool) | long_stems


@st.composite
def blobs(draw: st.DrawFn, size: Size, share: float = 1.0) -> Ring:
    """A star-shaped outline, large enough for its pixels to be compared."""
    corners = draw(st.integers(3, 12))
    reach = min(size) / 4 * share
    cx = draw(st.floats(reach * 1.1, size.width - reach * 1.1))
    cy = draw(st.floats(reach * 1.1, size.height - reach * 1.1))
    radii = np.asarray(draw(st.lists(st.floats(0.7, 1), min_size=corners, max_size=corners)))
    # turned a little: an edge right through the centres of pixels may go either way
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + 0.1234
    offsets = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (radii * reach)[:, None]
    return np.asarray(offsets + np.asarray([cx, cy]))


@st.composite
def masks(draw: st.DrawFn, size: Size) -> Mask:
    parts = tuple(draw(st.lists(blobs(size), min_size=1, max_size=3)))
    middle = parts[0].mean(axis=0)
    holes = ((parts[0] - middle) * 0.3 + middle,) if draw(st.booleans()) else ()
    mask = PolygonMask(parts, holes)
    return bitmap_to_rle(draw_mask(mask, size)) if draw(st.integers(0, 3)) == 0 else mask


@st.composite
def instances(draw: st.DrawFn, size: Size, classes: int, *, masked: bool) -> Instance:
    x1, x2 = sorted(draw(st.tuples(*[st.floats(0, size.width)] * 2)))
    y1, y2 = sorted(draw(st.tuples(*[st.floats(0, size.height)] * 2)))
    mask = draw(masks(size)) if masked else None
    box = Box(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)) if mask is None else mask_box(mask)
    values = st.booleans() | st.integers(-5, 5) | words
    attributes = draw(st.dictionaries(words, values, max_size=2))
    crowd = mask is not None and draw(st.integers(0, 4)) == 0
    return Instance(draw(st.integers(0, classes - 1)), box, mask, crowd, attributes)


@dataclass(frozen=True)
class World:
    """A data set whose images do not lie on disk yet."""

    names: list[str]
    samples: list[tuple[str, str, Size, tuple[Instance, ...]]]

    def put(self, folder: Path) -> Dataset:
        """Write the images to `folder/images/<split>/<name>`."""
        made = []
        for split, name, size, items in self.samples:
            path = folder / "images" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(path, format="PNG" if name.endswith("png") else "JPEG")
            made.append(Sample(path, size, items, split))
        return Dataset(tuple(Category(name) for name in self.names), tuple(made))


@st.composite
def worlds(draw: st.DrawFn, *, masked: bool) -> World:
    names = draw(class_names)
    stems = draw(st.lists(file_stems, min_size=1, max_size=3, unique_by=str.casefold))
    samples = []
    for split in SPLITS[: draw(st.integers(1, 3))]:
        for stem in sorted(stems):
            size = draw(st.sampled_from(SIZES))
            item = instances(size, len(names), masked=masked)
            items = tuple(draw(st.lists(item, max_size=3)))
            samples.append((split, f"{stem}.{draw(st.sampled_from(['jpg', 'png']))}", size, items))
    return World(names, samples)
