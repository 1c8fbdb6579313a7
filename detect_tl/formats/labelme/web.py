"""LabelMe as it was on the web: one XML file per image, with polygons, and masks as pictures.

`Annotations/<set>/<stem>.xml`, `Images/<set>/<name>`, `Masks/<set>/<stem>_mask_<n>.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Dataset, Instance, Json, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Mask, PolygonMask, Size, bitmap_to_rle, mask_box, rings_box
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.finite import refuse_far
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.label_image import read_label_image
from detect_tl.formats.labelme.shape import has_area
from detect_tl.formats.recognise import recognise
from detect_tl.formats.source import Source
from detect_tl.formats.xml import LABELME_WEB, lines_of, number_of, read_xml, text_of

_ROOT = re.compile(rb"<annotation[\s>]")
_MASK_FOLDERS = frozenset({"masks", "scribbles"})


def sniff(source: Source) -> Sniff:
    return recognise(source, (".xml",), _is_ours, "<pt> or <segm>")


def _is_ours(head: bytes) -> bool:
    return bool(_ROOT.search(head) and LABELME_WEB.search(head))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not well-formed XML.
    """
    files = sniff(source).files
    pictures = {p.name: p for p in source.images.images if _is_mask(p)}
    source = source.without(pictures.values())
    gather = Gatherer(source, report)
    index = CategoryIndex()
    reader = _ObjectReader(index, pictures, report)
    for path in files:
        root = read_xml(path)
        report.read["annotation-files"] += 1
        instances = tuple(reader.read(root, path))
        name, folder = text_of(root, "filename"), text_of(root, "folder")
        names = [n for n in (f"{folder}/{name}" if folder and name else "", name) if n]
        image = gather.find(names or [path.name], path, len(instances), near=_near(path))
        if image is None:
            continue
        extent = extent_of(item.box for item in instances)
        frame = gather.frame(image, _declared_size(root), extent, path, len(instances))
        if frame is not None:
            split = source.split_of(image) or source.split_of(path)
            upright = tuple(placed(item, frame) for item in instances)
            gather.add(Sample(image, frame.size, upright, split, path))
    gather.add_backgrounds()
    return gather.dataset(index, alphabetical(c.name for c in index.categories()))


def _is_mask(path: Path) -> bool:
    return any(part.casefold() in _MASK_FOLDERS for part in path.parts[:-1])


def _near(path: Path) -> list[Path]:
    """Where `folder/name` may start: beside the file, or in the Images that mirrors Annotations."""
    tops = (p.parent for p in path.parents if p.name.casefold() == "annotations")
    top = next(tops, path.parent)
    return [path.parent, top / "Images", top / "images", top]


def _declared_size(root: Element) -> Size | None:
    try:
        return Size(int(text_of(root, "imagesize/ncols")), int(text_of(root, "imagesize/nrows")))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _ObjectReader:
    """Reads the objects of a file. pictures: masks by name."""

    index: CategoryIndex
    pictures: Mapping[str, Path]
    report: Report

    def read(self, root: Element, path: Path) -> Iterator[Instance]:
        for place, element in enumerate(root.findall("object")):
            if text_of(element, "deleted") == "1":
                self.report.read["objects-deleted-by-their-author"] += 1
                continue
            try:
                yield self._object(element)
            except (ValueError, DataError) as error:
                self.report.lost["objects-unreadable"] += 1
                line = lines_of(path, "object")[place]
                text = f"the object is lost: {getattr(error, 'message', error)}"
                self.report.add("labelme-web.bad-object", "error", text, path, line)

    def _object(self, element: Element) -> Instance:
        """Raises ValueError or DataError for an object that cannot be used."""
        name = text_of(element, "name")
        if not name:
            raise ValueError("it has no <name>")
        mask = self._mask(element)
        box = rings_box(mask.parts) if isinstance(mask, PolygonMask) else mask_box(mask)
        straight = text_of(element, "type") == "bounding_box" and isinstance(mask, PolygonMask)
        kept = None if straight else mask
        return Instance(self.index.add(name), box, kept, attributes=_attributes(element))

    def _mask(self, element: Element) -> Mask:
        corners = [
            (number_of(point, "x"), number_of(point, "y"))
            for point in element.iterfind("polygon/pt")
        ]
        if corners:
            outline = np.asarray(corners, dtype=np.float64)
            refuse_far(outline)
            if not has_area(outline):
                raise ValueError("its points lie on one line")
            return PolygonMask((outline,))
        named = text_of(element, "segm/mask")
        if not named:
            raise ValueError("it has neither a polygon nor a mask")
        picture = self.pictures.get(named.replace("\\", "/").rpartition("/")[2])
        if picture is None:
            raise ValueError(f"its mask {named!r} is missing")
        return bitmap_to_rle(read_label_image(picture).values != 0)


def _attributes(element: Element) -> Mapping[str, Json]:
    """Flags that are set, what was typed, and the number of the object that this is a part of."""
    found: dict[str, Json] = {}
    if text_of(element, "occluded") == "yes":
        found["occluded"] = True
    if text_of(element, "verified") == "1":
        found["verified"] = True
    words = {"attributes": "attributes", "parts/ispartof": "part_of", "parts/hasparts": "parts"}
    found |= {key: text for tag, key in words.items() if (text := text_of(element, tag))}
    if "part_of" in found or "parts" in found:
        found["id"] = text_of(element, "id")
    return found or NO_ATTRIBUTES


FORMAT = Format(
    name="labelme-web",
    title="LabelMe web",
    description="one XML file per image of polygons and masks, from the LabelMe of the web",
    sniff=sniff,
    read=read,
)
