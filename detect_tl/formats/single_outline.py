"""One outline for a mask, for formats that know no more than one, and what it costs."""

from __future__ import annotations

from detect_tl.core.findings import Report
from detect_tl.core.geometry import Mask, PolygonMask, Ring, Size, rle_to_bitmap
from detect_tl.core.masks import join_rings, merged, outline


def outline_losses(prefix: str, what: str) -> dict[str, str]:
    """The losses that `single_outline` may count, for `Format.losses`. what: "an object"."""
    return {
        f"{prefix}-joined-parts": f"{what} has one outline; several parts are joined by bridges"
        " of no width",
        f"{prefix}-merged-parts": "parts that overlap are first merged, exact to the pixel",
        f"{prefix}-joined-holes": f"{what} has one outline; holes are joined to it by bridges"
        " of no width",
        f"{prefix}-run-lengths": "a bitmap is written as its outline, exact to the pixel",
        f"{prefix}-empty-outlines": "a mask without area has no outline; its box is kept",
    }


def single_outline(mask: Mask, size: Size, prefix: str, report: Report) -> Ring | None:
    """The (n, 2) outline of a mask, xy in pixels; None when it has no area.

    Counts what happened to it in `report.lost`.
    """
    if not isinstance(mask, PolygonMask):
        report.lost[f"{prefix}-run-lengths"] += 1
        mask = outline(rle_to_bitmap(mask))
    mask = PolygonMask(tuple(r for r in mask.parts if len(r) >= 3), mask.holes)
    if not mask.parts:
        report.lost[f"{prefix}-empty-outlines"] += 1
        return None
    if len(mask.parts) > 1:
        report.lost[f"{prefix}-joined-parts"] += 1
    if mask.holes:
        report.lost[f"{prefix}-joined-holes"] += 1
    apart = merged(mask, size)
    if apart is not mask:
        report.lost[f"{prefix}-merged-parts"] += 1
        if not apart.parts:
            return None
    return join_rings(apart)
