"""Pascal VOC: one XML file per image, and lists of image names for the splits.

Coordinates are taken as they stand. The original development kit counted pixels from 1, both ends
included; the tools that write this format now (LabelImg, CVAT, Roboflow, …) count from 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Dataset, Instance, Json, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Mask, PolygonMask, Size, ring
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.images import pair_left_over
from detect_tl.formats.source import Source
from detect_tl.formats.voc_splits import Splits, read_splits
from detect_tl.formats.xml import lines_of, read_xml, text_of

_ROOT = re.compile(rb"<annotation[\s>]")
_LABELME_XML = re.compile(rb"<polygon>\s*(<username>|<pt>)")
_FLAGS = ("difficult", "truncated", "occluded")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def sniff(source: Source) -> Sniff:
    files = source.candidates(".xml")
    if not files:
        return Sniff("no .xml file")
    claimed = tuple(p for p in files if _is_voc(source.peek(p)))
    if not claimed:
        return Sniff(f"{len(files)} .xml files, none with an <annotation> root")
    return Sniff(f"{len(claimed)} .xml files with an <annotation> root", claimed)


def _is_voc(head: bytes) -> bool:
    return bool(_ROOT.search(head)) and not _LABELME_XML.search(head)


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not well-formed XML.
    """
    files = sniff(source).files
    declared = _labelmap(source)
    gather = Gatherer(source, report)
    reading = _Reading(gather, CategoryIndex(declared), read_splits(source, report))
    orphans: list[_Orphan] = []
    for path in files:
        root = read_xml(path)
        report.read["annotation-files"] += 1
        match = source.images.find(
            [text_of(root, "filename"), path.name], near=_image_folders(path), hints=()
        )
        if match.path is None:
            orphans.append(_Orphan(path, root, match.rivals))
            continue
        if match.forgiven:
            gather.forgive(match.path, text_of(root, "filename"), path, match.forgiven)
        reading.add(path, root, match.path)
    reading.match_left_over(orphans)
    reading.add_backgrounds()
    met = [category.name for category in reading.index.categories()]
    order = declared + alphabetical(name for name in met if name not in declared)
    return gather.dataset(reading.index, order)


def _image_folders(path: Path) -> list[Path]:
    above = path.parent.parent
    return [path.parent, above / "JPEGImages", above / "images", above]


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A file whose image was not found by name. rivals: images that fit equally well."""

    path: Path
    root: Element
    rivals: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Where the files of one source end up."""

    gather: Gatherer
    index: CategoryIndex
    splits: Splits

    def add(self, path: Path, root: Element, image: Path) -> None:
        """Keep one image with the objects of its file."""
        gather = self.gather
        instances = tuple(_objects(root, path, self.index, gather.report))
        extent = extent_of(item.box for item in instances)
        frame = gather.frame(image, _declared_size(root), extent, path, len(instances))
        if frame is None:
            return
        split = self.splits.of(path) or gather.source.split_of(image)
        instances = tuple(placed(item, frame) for item in instances)
        gather.add(Sample(image, frame.size, instances, split, path))

    def match_left_over(self, orphans: Sequence[_Orphan]) -> None:
        """Match files by what only they have in common; the others have lost their image."""
        left = [p for p in self.gather.source.images.images if not self.gather.met(p)]
        pairs = pair_left_over([orphan.path.name for orphan in orphans], left)
        for place, orphan in enumerate(orphans):
            path, root = orphan.path, orphan.root
            name = text_of(root, "filename") or path.name
            if place in pairs and not orphan.rivals:
                self.gather.forgive(pairs[place], name, path, "left-over")
                self.add(path, root, pairs[place])
            else:
                self.gather.lose_image(name, path, len(root.findall("object")), orphan.rivals)

    def add_backgrounds(self) -> None:
        """Keep images without a file; where official lists exist, only the ones they name.

        The images of a large VOC release that no list names are not free of objects, but were
        never annotated for this task.
        """
        rest = [p for p in self.gather.source.images.images if not self.gather.met(p)]
        listed = {p: split for p in rest if (split := self.splits.of(p)) is not None}
        unlisted = [p for p in rest if self.splits.covers(p) and p not in listed]
        left_out = set(unlisted)
        self.gather.add_backgrounds([p for p in rest if p not in left_out], listed)
        if unlisted:
            report = self.gather.report
            report.lost["images-not-listed"] += len(unlisted)
            text = f"{len(unlisted)} images have neither a file nor a place in ImageSets; left out"
            report.add("split.unlisted", "info", text)


def _declared_size(root: Element) -> Size | None:
    try:
        size = Size(
            int(float(text_of(root, "size/width"))), int(float(text_of(root, "size/height")))
        )
    except (ValueError, OverflowError):
        return None
    return size


def _objects(root: Element, path: Path, index: CategoryIndex, report: Report) -> Iterator[Instance]:
    for place, element in enumerate(root.findall("object")):
        try:
            box = _box(element)
            name = text_of(element, "name")
            if not name:
                raise ValueError("it has no <name>")
        except ValueError as error:
            report.lost["objects-unreadable"] += 1
            line = lines_of(path, "object")[place]
            report.add("voc.bad-object", "error", f"the object is lost: {error}", path, line)
            continue
        parts = len(element.findall("part"))
        if parts:
            report.lost["object-parts"] += parts
        yield Instance(index.add(name), box, _polygon(element), False, _attributes(element))


def _box(element: Element) -> Box:
    corners = element.find("bndbox")
    if corners is None:
        raise ValueError("it has no <bndbox>")
    return Box(*(_number(corners, tag) for tag in _CORNERS))


def _number(parent: Element, tag: str) -> float:
    text = text_of(parent, tag)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"<{tag}> is {text!r}, not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"<{tag}> is {text!r}")
    return value


def _polygon(element: Element) -> Mask | None:
    """Roboflow adds <polygon><x1/><y1/><x2/><y2/>…</polygon> to the box."""
    outline = element.find("polygon")
    if outline is None:
        return None
    values: list[float] = []
    while outline.find(f"x{len(values) // 2 + 1}") is not None:
        place = len(values) // 2 + 1
        values += _number(outline, f"x{place}"), _number(outline, f"y{place}")
    return PolygonMask((ring(values),)) if len(values) >= 6 else None


def _attributes(element: Element) -> Mapping[str, Json]:
    """What differs from the ordinary: flags that are set, a pose, CVAT's own attributes."""
    found: dict[str, Json] = {
        flag: True for flag in _FLAGS if text_of(element, flag, "0") not in ("0", "")
    }
    pose = text_of(element, "pose")
    if pose and pose != "Unspecified":
        found["pose"] = pose
    for attribute in element.iterfind("attributes/attribute"):
        found[text_of(attribute, "name")] = text_of(attribute, "value")
    return found or NO_ATTRIBUTES


def _labelmap(source: Source) -> list[str]:
    """Class names in the order of CVAT's labelmap.txt, its background left out."""
    for path in source.files:
        if path.name.casefold() == "labelmap.txt":
            lines = path.read_text("utf-8-sig", errors="replace").splitlines()
            names = [line.split(":")[0].strip() for line in lines if not line.startswith("#")]
            return [name for name in dict.fromkeys(names) if name and name != "background"]
    return []


FORMAT = Format(
    name="voc",
    title="Pascal VOC",
    description="one XML file per image (LabelImg, CVAT, Roboflow), splits in ImageSets/Main",
    sniff=sniff,
    read=read,
)
