"""What readers of records (objects of JSON, rows of a table) share: values that must be sound."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import NO_ATTRIBUTES, Instance, Json
from detect_tl.core.geometry import Box, PolygonMask, Ring, RleMask, Size
from detect_tl.core.rle import decode_counts
from detect_tl.formats.gather import Gatherer, extent_of
from detect_tl.formats.source import split_name

# What a record of the wrong shape makes Python raise; every one costs that record, not the file.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

# Pillow opens no image beyond 179 megapixels, so that no mask can be of use above this.
MOST_PIXELS = 1 << 28
_LARGEST = 1e100
_WORDS = re.compile(r"[-_.\s]+")


def why(error: Exception) -> str:
    """What is wrong with a record, in words that follow "is lost:"."""
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def number(value: Any) -> float:
    """A finite number, also out of text; raise ValueError for anything else.

    One so large that sums and products of it are not finite any more counts as none.
    """
    try:
        odd = isinstance(value, bool) or (isinstance(value, str) and "_" in value)
        found = math.nan if odd else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) < _LARGEST:
        raise ValueError(f"{repr(value)[:40]} is not a finite number")
    return found


def numbers(values: Iterable[Any]) -> list[float]:
    return [number(value) for value in values]


def points(values: Any) -> Ring:
    """(n, 2) points out of a list of [x, y]; raise ValueError for anything else."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or not np.isfinite(found).all():
        raise ValueError("its points are not a list of finite [x, y]")
    return found


def outline(values: Any) -> Ring:
    """(n, 2) vertices of a polygon; raise ValueError when there are fewer than three."""
    found = points(values)
    if len(found) < 3:
        raise ValueError(f"its outline has {len(found)} points, not 3 or more")
    return found


def label_of(value: Any) -> str:
    """A class name; raise ValueError when it is empty or no text."""
    name = str(value).strip() if isinstance(value, str | int | float) else ""
    if not name:
        raise ValueError("its label is empty" if isinstance(value, str) else "its label is no text")
    return name


def size_of(width: Any, height: Any) -> Size | None:
    """The size that a record declares; None when it declares none that makes sense."""
    try:
        return Size(int(number(width)), int(number(height)))
    except ValueError:
        return None


def plain(attributes: Any) -> dict[str, Json]:
    """The attributes of a record: those with a name and a value."""
    if not isinstance(attributes, Mapping):
        return {}
    return {str(key): value for key, value in attributes.items() if value is not None}


def or_none(attributes: Mapping[str, Json]) -> Mapping[str, Json]:
    """The shared empty mapping in place of one more empty dictionary."""
    return attributes or NO_ATTRIBUTES


def run_lengths(record: Mapping[str, Any]) -> RleMask:
    """COCO's RLE, compressed or not: {"size": [height, width], "counts": …}."""
    height, width = (int(number(v)) for v in record["size"])
    if min(height, width) < 0 or height * width > MOST_PIXELS:
        raise ValueError(f"a mask of {width}x{height} is larger than any image")
    counts = record["counts"]
    runs = decode_counts(counts) if isinstance(counts, str) else [int(c) for c in counts]
    if sum(runs) != width * height or min(runs, default=0) < 0:
        raise ValueError(f"its run lengths add up to {sum(runs)}, not to {width}x{height}")
    return RleMask(tuple(runs), Size(width, height))


def placed_bitmap(patch: NDArray[np.uint8], left: int, top: int, size: Size) -> RleMask:
    """Run lengths of a (height, width) patch (non-zero is the object) put into an image.

    Raises ValueError when the patch leaves the image.
    """
    height, width = patch.shape
    if size.width * size.height > MOST_PIXELS:
        raise ValueError(f"an image of {size.width}x{size.height} is larger than any can be")
    if left < 0 or top < 0 or left + width > size.width or top + height > size.height:
        raise ValueError(
            f"its mask, {width}x{height} at {left}, {top}, leaves the {size.width}x{size.height}"
            " image"
        )
    # Only the columns of the patch are drawn; whole columns before and after it are one run each.
    columns = np.zeros((width, size.height), np.uint8)
    columns[:, top : top + height] = (patch != 0).T
    flat = columns.reshape(-1)
    edges = (np.flatnonzero(flat[1:] != flat[:-1]) + 1 + left * size.height).tolist()
    if flat.size and flat[0]:
        edges.insert(0, left * size.height)
    if flat.size and flat[-1]:
        edges.append((left + width) * size.height)
    runs = np.diff(np.asarray([0, *edges, size.width * size.height])).tolist()
    return RleMask(tuple(runs if runs[-1] else runs[:-1]), size)


def bitmap_box(patch: NDArray[np.uint8], left: int, top: int) -> Box:
    """The smallest box around the object of a patch; raise ValueError when it shows none."""
    ys, xs = np.flatnonzero(patch.any(axis=1)), np.flatnonzero(patch.any(axis=0))
    if not len(xs):
        raise ValueError("its mask is empty")
    return Box(
        float(left + xs[0]), float(top + ys[0]), float(left + xs[-1] + 1), float(top + ys[-1] + 1)
    )


def rotated_ring(box: Box, degrees: float) -> Ring:
    """The corners of a box turned about its centre, clockwise on the screen."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    w, h = box.width / 2, box.height / 2
    corners = np.asarray([[-w, -h], [w, -h], [w, h], [-w, h]])
    turned: Ring = corners @ np.asarray([[cos, sin], [-sin, cos]]) + [x, y]
    return turned


def join_parts(items: Iterable[tuple[Hashable | None, Instance]]) -> Iterator[Instance]:
    """Make one instance of the outlines that share a group and a class.

    items: the group (None when there is none) and the instance; only polygons are joined.
    """
    groups: dict[Hashable, list[Instance]] = {}
    for place, (group, item) in enumerate(items):
        joins = group is not None and isinstance(item.mask, PolygonMask)
        groups.setdefault((group, item.category) if joins else place, []).append(item)
    for members in groups.values():
        yield members[0] if len(members) == 1 else _joined(members)


def _joined(members: list[Instance]) -> Instance:
    first = members[0]
    masks = [m.mask for m in members if isinstance(m.mask, PolygonMask)]
    mask = PolygonMask(
        tuple(part for m in masks for part in m.parts),
        tuple(hole for m in masks for hole in m.holes),
    )
    box = extent_of(m.box for m in members) or first.box
    return replace(first, box=box, mask=mask, iscrowd=any(m.iscrowd for m in members))


def words_of(stem: str) -> list[str]:
    """ "instances_train2017" is "instances" and "train2017"."""
    return _WORDS.split(stem)


def split_of_stem(stem: str) -> str | None:
    """ "train_labels" is "train"; None when no word or several words name a split."""
    found = {split for word in words_of(stem) if (split := split_name(word))}
    return found.pop() if len(found) == 1 else None


def leave_out_unlisted(gather: Gatherer, others: Container[Path] = ()) -> None:
    """Count the images that no annotation mentions: they may well hold objects.

    others: pictures that are something else, such as masks.
    """
    if gather.source.path.is_file():
        return
    images = gather.source.images.images
    unlisted = [p for p in images if not gather.met(p) and p not in others]
    if unlisted:
        gather.report.lost["images-not-listed"] += len(unlisted)
        text = f"{len(unlisted)} images are in no list, such as {unlisted[0].name}; left out"
        gather.report.add("image.unlisted", "info", text)
