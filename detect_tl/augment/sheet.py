"""A preview as one picture: a row for each original, a column for each view."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detect_tl.augment.pipeline import Augmented
from detect_tl.augment.preview import Preview
from detect_tl.core.files import atomic_path
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image, write_image
from detect_tl.core.lettering import Colour, font
from detect_tl.core.masks import draw_mask
from detect_tl.core.objects import Instance
from detect_tl.core.pages import class_bgr
from detect_tl.core.words import counted

_CELL = 360
_GAP = 10
_LINE = 24
_OPACITY = 0.35
_FINE = 4  # fractional bits of cv2's coordinates
_BACK, _INK, _SOFT = (24, 20, 17), (239, 235, 232), (175, 163, 152)


def write_sheet(path: Path, preview: Preview) -> None:
    """Draw all rows below one another and write the picture, whole or not at all."""
    rows = [[_cell(shown) for shown in (row.original, *row.views)] for row in preview.rows]
    columns = max(map(len, rows))
    width = columns * (_CELL + _GAP) + _GAP
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    used = {item.category for row in preview.rows for item in row.original.instances}
    legend = [(preview.names[k], class_bgr(k)) for k in sorted(used)]
    top = 2 * _LINE + _GAP
    sheet = np.full((top + sum(h + _LINE + _GAP for h in heights), width, 3), _BACK, np.uint8)
    words: list[tuple[str, int, int, Colour]] = []
    about = preview.augmentation
    words.append((f"{about.name}: {about.description}".rstrip(": "), _GAP, _GAP, _INK))
    words += _legend(legend, width)
    y = top
    for row, cells, height in zip(preview.rows, rows, heights, strict=True):
        gone = f" · {counted(row.dropped, 'object')} pushed out"
        said = row.name + (gone if row.dropped else "")
        words.append((said, _GAP, y, _SOFT))
        for column, cell in enumerate(cells):
            x = _GAP + column * (_CELL + _GAP)
            sheet[y + _LINE : y + _LINE + cell.shape[0], x : x + cell.shape[1]] = cell
        y += height + _LINE + _GAP
    sheet = _written(sheet, words)
    with atomic_path(path) as scratch:
        write_image(scratch, sheet)


def _legend(legend: list[tuple[str, Colour]], width: int) -> list[tuple[str, int, int, Colour]]:
    words, x = [], _GAP
    for number, (name, colour) in enumerate(legend):
        step = 11 * (len(name) + 3)
        if x + step > width - 80:
            words.append((f"and {len(legend) - number} more", x, _GAP + _LINE, _SOFT))
            break
        words.append((f"■ {name}", x, _GAP + _LINE, colour))
        x += step
    return words


def _cell(shown: Augmented) -> Image:
    """The picture at the size of a cell, its objects drawn at that size."""
    import cv2

    height, width = shown.image.shape[:2]
    scale = _CELL / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cell = np.ascontiguousarray(cv2.resize(shown.image, size, interpolation=way), np.uint8)
    for item in shown.instances:
        _draw(cell, item, Size(width, height), scale)
    return cell


def _draw(cell: Image, item: Instance, size: Size, scale: float) -> None:
    import cv2

    colour = class_bgr(item.category)
    if item.mask is not None:
        bitmap = cv2.resize(
            draw_mask(item.mask, size), cell.shape[1::-1], interpolation=cv2.INTER_LINEAR
        )
        inside = bitmap > 0
        cell[inside] = (cell[inside] * (1 - _OPACITY) + np.asarray(colour) * _OPACITY).astype(
            np.uint8
        )
    unit = scale * (1 << _FINE)
    x1, y1, x2, y2 = (round(value * unit) for value in item.box)
    one = 1 << _FINE  # a line runs through the centres of the outermost pixels
    corners = (x1, y1), (x2 - one, y2 - one)
    cv2.rectangle(cell, *corners, colour, 1, cv2.LINE_AA, _FINE)


def _written(sheet: Image, words: list[tuple[str, int, int, Colour]]) -> Image:
    """Put words on the sheet, in letters that know more than ASCII."""
    from PIL import Image as Pil, ImageDraw

    picture = Pil.fromarray(np.ascontiguousarray(sheet[..., ::-1]))
    pen, face = ImageDraw.Draw(picture), font(15)
    for text, x, y, (blue, green, red) in words:
        pen.text((x, y), text, (red, green, blue), font=face)
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])
