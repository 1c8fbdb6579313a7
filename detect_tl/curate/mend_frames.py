"""Mending annotations that were made on a picture as it is stored, not as a person sees it."""

from __future__ import annotations

from dataclasses import replace

from detect_tl.core.dataset import Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import RleMask, Size
from detect_tl.core.image_header import SIDEWAYS, read_header
from detect_tl.curate.rules import only_fits_as_stored, place_of
from detect_tl.formats.frame import Frame
from detect_tl.formats.gather import extent_of, placed


def turn_upright(sample: Sample, report: Report) -> Sample:
    """Turn all objects with the EXIF orientation, if only then they lie on the image.

    Objects that fit both ways, or neither, stay as they are: there is no one right answer.
    """
    extent = extent_of(item.box for item in sample.instances)
    if extent is None or not only_fits_as_stored(extent.x2, extent.y2, sample.size):
        return sample
    w, h = sample.size
    masks = (item.mask for item in sample.instances)
    if any(isinstance(mask, RleMask) and mask.size != Size(h, w) for mask in masks):
        return sample
    orientation = _orientation(sample)
    if orientation not in SIDEWAYS:
        return sample
    frame = Frame(sample.size, "turned", Size(h, w), orientation)
    turned = tuple(placed(item, frame) for item in sample.instances)
    report.changed["images-turned-upright"] += 1
    text = (
        f"stored sideways (EXIF orientation {orientation}), and its objects only fit the picture "
        f"as it is stored; {len(turned)} objects were turned with it"
    )
    report.add("image.exif-frame", "warning", text, place_of(sample), image=sample.image)
    return replace(sample, instances=turned)


def _orientation(sample: Sample) -> int:
    """Of EXIF; 1 for an image that cannot be read, which checks name."""
    if sample.header is not None:
        return sample.header.orientation
    try:
        return read_header(sample.image).orientation
    except DataError:
        return 1
