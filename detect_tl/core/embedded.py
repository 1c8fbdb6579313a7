"""What comes with the package itself: a small sample data set and a starter checkpoint."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

# Place in an installed package, and in a checkout. pyproject.toml maps one onto the other.
_SAMPLE = ("_embedded/sample", "datasets/sample")
_STARTER = ("_embedded/starter.pt", "weights/starter.pt")


def checkout() -> Path | None:
    """The root of the project's checkout, or None when the package is installed from a wheel."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() else None


def embedded_sample() -> Path | None:
    """Folder of the sample data set: procedural images with LabelMe polygons, and a video."""
    return _find(*_SAMPLE)


def embedded_starter() -> Path | None:
    """The starter checkpoint: pretrained on a synthetic world, not on COCO."""
    return _find(*_STARTER)


def _find(installed: str, checked_out: str) -> Path | None:
    root = checkout()
    places = [_PACKAGE / installed, *([root / checked_out] if root else [])]
    return next((place for place in places if place.exists()), None)
