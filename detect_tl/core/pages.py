"""HTML pages that hold everything they show, so that they open from disk and travel by mail."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect_tl.core.files import atomic_path
from detect_tl.core.images import Image

_JPEG_QUALITY = 80


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
        scratch.write_text(html, "utf-8")


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
