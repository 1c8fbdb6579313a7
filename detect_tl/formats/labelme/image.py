"""The image of a LabelMe file: the one it names, or the one it carries inside."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl.core.files import IMAGE_SUFFIXES, atomic_path
from detect_tl.formats.gather import Gatherer


def find_or_unpack(
    gather: Gatherer,
    names: Sequence[str],
    document: Mapping[str, Any],
    annotation: Path,
    objects: int,
) -> Path | None:
    """Find the image on disk; without one, unpack the one inside into the user's cache."""
    near = [annotation.parent, annotation.parent.parent / "images"]
    embedded = document.get("imageData")
    match = gather.source.images.find(names, near=near)
    if match.path is None and not match.rivals and isinstance(embedded, str):
        data = _decode(embedded)
        if data is not None:
            return _unpack(gather, data, names[0], annotation)
    image = gather.find(names, annotation, objects, near=near)
    if image is not None and isinstance(embedded, str):
        _compare(gather, embedded, image, annotation)
    return image


def _decode(embedded: str) -> bytes | None:
    try:
        return base64.b64decode(embedded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _unpack(gather: Gatherer, data: bytes, name: str, annotation: Path) -> Path:
    """Write the embedded image below a folder named by its hash, so that a second run finds it."""
    import platformdirs

    plain = Path(name.replace("\\", "/").rpartition("/")[2])
    suffix = plain.suffix if plain.suffix.lower() in IMAGE_SUFFIXES else ".jpg"
    digest = hashlib.sha256(data).hexdigest()[:16]
    cache = Path(platformdirs.user_cache_dir("detect-tl"), "unpacked", digest)
    image = cache / f"{plain.stem or annotation.stem}{suffix}"
    if not image.exists():
        with atomic_path(image) as scratch:
            scratch.write_bytes(data)
    gather.report.changed["images-unpacked"] += 1
    text = f"image {name!r} is missing; the copy inside the file is used"
    gather.report.add("image.embedded", "warning", text, annotation)
    return image


def _compare(gather: Gatherer, embedded: str, image: Path, annotation: Path) -> None:
    """Say when the image on disk is not, byte for byte, the one that was annotated."""
    data = _decode(embedded)
    if data is not None and data != image.read_bytes():
        text = f"the image inside differs from {image.name}; the one on disk is used"
        gather.report.add("image.embedded-differs", "info", text, annotation)
