"""A preview as a file: a page, or one picture of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detect_tl.augment.pipeline import Augmented
from detect_tl.augment.preview import Preview
from detect_tl.augment.sheet import write_sheet
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import Size
from detect_tl.core.pages import drawings, embedded_jpeg, write_page
from detect_tl.core.words import counted

_TEMPLATE = Path(__file__).parent / "templates" / "preview.html.j2"
_MOST_LABELS = 12
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
PAGE_SUFFIXES = (".html", ".htm")


def check_target(path: Path) -> None:
    """Raise UsageError when the name does not end like a picture or a page."""
    if path.suffix.lower() not in PICTURE_SUFFIXES + PAGE_SUFFIXES:
        raise UsageError(
            f"a preview is a picture or a page, and {path.name} is neither by its name",
            hint="Name a .png, .jpg or .html file.",
        )


def write_preview(path: Path, preview: Preview) -> None:
    """Write a picture or a page, as the end of the name says; whole or not at all."""
    check_target(path)
    if path.suffix.lower() in PAGE_SUFFIXES:
        write_page(path, _TEMPLATE, _values(preview))
        return
    write_sheet(path, preview)


def _values(preview: Preview) -> dict[str, Any]:
    return {
        "augmentation": preview.augmentation,
        "written": preview.augmentation.as_yaml(),
        "dropped": preview.dropped,
        "rows": [
            {
                "name": row.name,
                "pictures": [
                    _picture(shown, preview.names, title)
                    for shown, title in [
                        (row.original, "as it is"),
                        *((view, _title(view)) for view in row.views),
                    ]
                ],
            }
            for row in preview.rows
        ],
    }


def _title(view: Augmented) -> str:
    objects = counted(len(view.instances), "object")
    return f"{objects}, {view.dropped} dropped" if view.dropped else objects


def _picture(shown: Augmented, names: Sequence[str], title: str) -> dict[str, Any]:
    height, width = shown.image.shape[:2]
    return {
        "title": title,
        "width": width,
        "height": height,
        "data": embedded_jpeg(shown.image, 480),
        "labelled": len(shown.instances) <= _MOST_LABELS,
        "objects": drawings(shown.instances, names, Size(width, height)),
    }
