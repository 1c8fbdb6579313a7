"""Pascal VOC: one XML file per image, and lists of image names for the splits.

Coordinates are taken as they stand. The original development kit counted pixels from 1, both ends
included; the tools that write this format now (LabelImg, CVAT, Roboflow, …) count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.images import pair_left_over
from detect_tl.formats.source import Source
from detect_tl.formats.voc_labelmap import read_labelmap
from detect_tl.formats.voc_object import read_objects
from detect_tl.formats.voc_segmentation import OBJECTS, Segmentation, is_mask, joined, mask_files
from detect_tl.formats.voc_splits import Splits, read_splits
from detect_tl.formats.voc_write import LOSSES, write
from detect_tl.formats.xml import read_xml, text_of

_ROOT = re.compile(rb"<annotation[\s>]")
_LABELME_XML = re.compile(rb"<polygon>\s*(<username>|<pt>)")


def sniff(source: Source) -> Sniff:
    files = source.candidates(".xml")
    claimed = [p for p in files if _is_voc(source.peek(p))]
    masks = mask_files(source)
    if not claimed and not masks:
        about = f"{len(files)} .xml files, none with an <annotation> root"
        return Sniff(about if files else "no .xml file")
    found = [f"{len(claimed)} .xml files with an <annotation> root"] if claimed else []
    found += [f"{len(masks)} pictures in {OBJECTS}"] if masks else []
    return Sniff(" and ".join(found), (*claimed, *masks))


def _is_voc(head: bytes) -> bool:
    return bool(_ROOT.search(head)) and not _LABELME_XML.search(head)


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not well-formed XML.
    """
    files = sniff(source).files
    labelmap = read_labelmap(source)
    source = source.without([p for p in source.images.images if is_mask(p)])
    gather = Gatherer(source, report)
    masks = {p.stem: p for p in files if p.suffix.lower() == ".png"}
    reading = _Reading(
        gather,
        CategoryIndex(labelmap.names),
        read_splits(source, report),
        Segmentation(labelmap.colours),
        masks,
    )
    orphans: list[_Orphan] = []
    for path in files:
        if path.suffix.lower() != ".xml":
            continue
        root = read_xml(path)
        report.read["annotation-files"] += 1
        match = source.images.find(_image_names(root, path), near=_image_folders(path))
        if match.path is None:
            orphans.append(_Orphan(path, root, match.rivals))
            continue
        if match.forgiven:
            gather.forgive(match.path, text_of(root, "filename"), path, match.forgiven)
        reading.add(path, root, match.path)
    reading.match_left_over(orphans)
    reading.add_masks_alone()
    reading.add_backgrounds()
    met = [category.name for category in reading.index.categories()]
    declared = labelmap.names
    order = declared + alphabetical(name for name in met if name not in declared)
    return gather.dataset(reading.index, order)


def _image_names(root: Element, path: Path) -> list[str]:
    """What the image may be called. `<path>` says more than `<filename>` where they agree."""
    filename, place = text_of(root, "filename"), text_of(root, "path")
    agree = place.replace("\\", "/").rpartition("/")[2] == filename.replace("\\", "/")
    return [*([place] if agree else []), filename, path.name]


def _image_folders(path: Path) -> list[Path]:
    inside = (p.parent for p in path.parents if p.name.casefold() == "annotations")
    above = next(inside, path.parent.parent)
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
    segmentation: Segmentation
    masks: dict[str, Path]

    def add(self, path: Path, root: Element, image: Path) -> None:
        """Keep one image with the objects of its file."""
        gather = self.gather
        instances = list(read_objects(root, path, self.index, gather.report))
        instances = self._with_masks(instances, path)
        extent = extent_of(item.box for item in instances)
        frame = gather.frame(image, _declared_size(root), extent, path, len(instances))
        if frame is None:
            return
        split = self.splits.of(path) or gather.source.split_of(image)
        upright = tuple(placed(item, frame) for item in instances)
        gather.add(Sample(image, frame.size, upright, split, path))

    def _with_masks(self, boxes: list[Instance], path: Path) -> list[Instance]:
        """The objects of a file, with the masks of the picture that belongs to it."""
        picture = self.masks.pop(path.stem, None)
        found = None if picture is None else self._objects_of(picture)
        return boxes if found is None else joined(boxes, found[1], self.gather.report)

    def _objects_of(self, picture: Path) -> tuple[Size, list[Instance]] | None:
        """The objects of a picture; None, reported, when it cannot be read."""
        report = self.gather.report
        report.read["mask-files"] += 1
        try:
            return self.segmentation.objects(picture, self.index, report)
        except DataError as error:
            report.lost["mask-files"] += 1
            report.add("voc.bad-mask", "error", error.message, picture)
            return None

    def add_masks_alone(self) -> None:
        """Keep the images whose objects stand in a picture only."""
        gather = self.gather
        for stem, picture in sorted(self.masks.items()):
            found = self._objects_of(picture)
            if found is None:
                continue
            size, items = found
            base = picture.parent.parent
            near = [base / "JPEGImages", base / "images", base]
            image = gather.find([f"{stem}.jpg"], picture, len(items), near=near)
            if image is None:
                continue
            extent = extent_of(item.box for item in items)
            frame = gather.frame(image, size, extent, picture, len(items))
            if frame is not None:
                split = self.splits.of(picture) or gather.source.split_of(image)
                upright = tuple(placed(item, frame) for item in items)
                gather.add(Sample(image, frame.size, upright, split, picture))

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


FORMAT = Format(
    name="voc",
    title="Pascal VOC",
    description="one XML file per image (LabelImg, CVAT, Roboflow), splits in ImageSets, masks",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
)
