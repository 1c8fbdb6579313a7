"""HTML pages that hold everything they show, so that they open from disk and travel by mail."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.dataset import Dataset, Instance, Sample, categories_of
from detect_tl.core.files import atomic_path
from detect_tl.core.geometry import Ring, RleMask, Size, box_ring, rle_to_bitmap
from detect_tl.core.images import Image
from detect_tl.core.lettering import Colour
from detect_tl.core.masks import outline

CLASS_COLOURS = (
    "#ff3b6b #00b3ff #ffc400 #00d68f #a46bff #ff8a00 #00e1d9 #ff6bd6 #9ad400 #6b8cff".split()
)
"""In turn: told apart by most people, colour-blind ones too, on photos light and dark."""

_JPEG_QUALITY = 80
_MOST_POINTS = 400  # of one ring; more cannot be seen


def class_colour(category: int) -> str:
    """The colour of a class on every picture of a page."""
    return CLASS_COLOURS[category % len(CLASS_COLOURS)]


def class_bgr(category: int) -> Colour:
    """The same colour as OpenCV wants it."""
    value = int(class_colour(category)[1:], 16)
    return value & 255, value >> 8 & 255, value >> 16


def svg_path(rings: Iterable[Ring]) -> str:
    """Closed outlines as the path of an SVG drawing, in pixels of the image."""
    return "".join(map(_closed, rings))


def _closed(ring: Ring) -> str:
    step = max(1, len(ring) // _MOST_POINTS)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in ring[::step].tolist())
    return f"M{points}Z"


def choose_pictures(dataset: Dataset, count: int) -> list[Sample]:
    """Images that show every class, the rarest first, in the order of the data set."""
    holders: dict[int, list[int]] = defaultdict(list)
    for place, sample in enumerate(dataset.samples):
        for category in set(categories_of(sample.instances)):
            holders[category].append(place)
    chosen: dict[int, None] = {}
    for category in sorted(holders, key=lambda c: (len(holders[c]), c)):
        if len(chosen) < count and not chosen.keys() & set(holders[category]):
            chosen[holders[category][0]] = None
    rest = [k for k, s in enumerate(dataset.samples) if len(s.instances) and k not in chosen]
    missing = count - len(chosen)
    if missing > 0 and rest:
        step = max(len(rest) / missing, 1)
        for k in range(min(missing, len(rest))):
            chosen[rest[int(k * step)]] = None
    return [dataset.samples[k] for k in sorted(chosen)]


def drawings(
    instances: Iterable[Instance], names: Sequence[str], size: Size
) -> list[dict[str, Any]]:
    """Objects as SVG drawings in pixels of the image, for `drawing.html.j2`.

    The outline of its mask, or its box where it has none that can be drawn. An object that is
    nowhere (a coordinate is no number) is left out.
    """
    return [_drawn(item, names, size) for item in instances if all(map(isfinite, item.box))]


def _drawn(item: Instance, names: Sequence[str], size: Size) -> dict[str, Any]:
    known = 0 <= item.category < len(names)
    name = names[item.category] if known else f"class {item.category}"
    return {
        "label": name + (" (crowd)" if item.iscrowd else ""),
        "colour": class_colour(item.category),
        "path": svg_path(_rings(item)),
        "x": round(item.box.x1, 1),
        # Far to the right, the label ends where the box does.
        "right": round(item.box.x2, 1) if item.box.x1 > 0.75 * size.width else None,
        "y": round(item.box.y1, 1),
    }


def _rings(item: Instance) -> tuple[Ring, ...]:
    mask, box = item.mask, (box_ring(item.box),)
    if isinstance(mask, RleMask):
        try:
            mask = outline(rle_to_bitmap(mask))
        except ValueError:
            return box  # damaged run lengths are a finding of their own
    if mask is None:
        return box
    return tuple(ring for ring in (*mask.parts, *mask.holes) if np.isfinite(ring).all())


def write_page(path: Path, template: Path, values: Mapping[str, Any]) -> None:
    """Render a Jinja template with `values`, and write it whole or not at all.

    Templates extend `page.html.j2`, which brings the look of all pages. A value that a template
    asks for and does not get is an error.
    """
    import jinja2

    folders = [template.parent, Path(__file__).parent / "templates"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    html = environment.get_template(template.name).render(values)
    with atomic_path(path) as scratch:
        scratch.write_text(html, "utf-8", errors="replace")  # file names may be odd bytes


def embedded_jpeg(image: Image, longest: int) -> str:
    """An image as a data address of at most `longest` pixels a side.

    Raises ValueError when OpenCV cannot encode it.
    """
    import cv2

    height, width = image.shape[:2]
    scale = min(longest / max(height, width), 1.0)
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(image.dtype)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be made a JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
