"""Pascal VOC: one XML file per image, and lists of image names for the splits.

Coordinates are taken as they stand. The original development kit counted pixels from 1, both ends
included; the tools that write this format now (LabelImg, CVAT, Roboflow, …) count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample, renumber
from detect_tl.core.errors import DataError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.images import pair_left_over
from detect_tl.formats.source import Source
from detect_tl.formats.voc.file import VocFile, read_files
from detect_tl.formats.voc.labelmap import read_labelmap
from detect_tl.formats.voc.segmentation import (
    OBJECTS,
    MaskFiles,
    Segmentation,
    fitting,
    is_mask,
    joined,
    mask_files,
)
from detect_tl.formats.voc.splits import Splits, read_splits
from detect_tl.formats.voc.write import LOSSES, write
from detect_tl.formats.xml import LABELME_WEB

_ROOT = re.compile(rb"<annotation[\s>]")


def sniff(source: Source) -> Sniff:
    files = source.candidates(".xml")
    claimed = [p for p in files if _is_voc(source.peek(p))]
    masks = mask_files(source)
    if not claimed and not masks:
        about = f"{counted(len(files), '.xml file')}, none with an <annotation> root"
        return Sniff(about if files else "no .xml file")
    found = [f"{counted(len(claimed), '.xml file')} with an <annotation> root"] if claimed else []
    found += [f"{counted(len(masks), 'picture')} in {OBJECTS}"] if masks else []
    return Sniff(" and ".join(found), (*claimed, *masks))


def _is_voc(head: bytes) -> bool:
    return bool(_ROOT.search(head)) and not LABELME_WEB.search(head)


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not well-formed XML.
    """
    files = sniff(source).files
    labelmap = read_labelmap(source)
    source = source.without([p for p in source.images.images if is_mask(p)])
    gather = Gatherer(source, report)
    masks = MaskFiles(p for p in files if p.suffix.lower() == ".png")
    reading = _Reading(
        gather,
        CategoryIndex(labelmap.names),
        read_splits(source, report),
        Segmentation(labelmap.colours),
        masks,
    )
    orphans: list[_Orphan] = []
    for file in read_files([p for p in files if p.suffix.lower() == ".xml"], reading.index, report):
        match = source.images.find(_image_names(file), near=_image_folders(file.path.parent))
        if match.path is None:
            orphans.append(_Orphan(file, match.rivals))
            continue
        if match.forgiven:
            gather.forgive(match.path, file.filename, file.path, match.forgiven)
        reading.add(file, match.path)
    reading.match_left_over(orphans)
    reading.add_masks_alone()
    reading.add_backgrounds()
    dataset = gather.dataset(reading.index)
    met = [name for name, count in dataset.objects_per_class().items() if count]
    declared = labelmap.names
    return renumber(dataset, declared + alphabetical(n for n in met if n not in declared))


def _image_names(file: VocFile) -> list[str]:
    """What the image may be called. `<path>` says more than `<filename>` where they agree."""
    plain = file.place.replace("\\", "/")
    # A backslash may lead to another folder, or be part of a name.
    agree = file.filename in (file.place.rpartition("/")[2], plain.rpartition("/")[2])
    return [*([file.place] if agree and "/" in plain else []), file.filename, file.path.name]


@lru_cache(maxsize=64)
def _image_folders(folder: Path) -> list[Path]:
    """Where the images of the files in a folder may lie."""
    inside = (p.parent for p in (folder, *folder.parents) if p.name.casefold() == "annotations")
    above = next(inside, folder.parent)
    return [folder, above / "JPEGImages", above / "images", above]


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A file whose image was not found by name. rivals: images that fit equally well."""

    file: VocFile
    rivals: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Where the files of one source end up."""

    gather: Gatherer
    index: CategoryIndex
    splits: Splits
    segmentation: Segmentation
    masks: MaskFiles

    def add(self, file: VocFile, image: Path) -> None:
        """Keep one image with the objects of its file."""
        gather, path = self.gather, file.path
        header = gather.header(image, len(file.instances))
        if header is None:
            return
        instances = file.instances
        picture = self.masks.take(path)
        found = None if picture is None else self._objects_of(picture)
        if found is not None:
            instances = joined(instances, found[1], gather.report)
        if file.size != header.size:
            extent = extent_of(item.box for item in instances)
            frame = gather.frame(image, file.size, extent, path, len(instances))
            if frame is not None and frame.moves:
                instances = tuple(placed(item, frame) for item in instances)
        if picture is not None:
            instances = fitting(instances, header.size, picture, gather.report)
        split = self.splits.of(path) or gather.source.split_of(image)
        gather.add(Sample(image, header.size, instances, split, path, header))

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
        for picture in self.masks.left():
            found = self._objects_of(picture)
            if found is None:
                continue
            size, items = found
            base = picture.parent.parent
            near = [base / "JPEGImages", base / "images", base]
            names = [f"{picture.stem}{suffix}" for suffix in (".jpg", *sorted(IMAGE_SUFFIXES))]
            image = gather.find(names, picture, len(items), near=near)
            if image is None:
                continue
            extent = extent_of(item.box for item in items)
            frame = gather.frame(image, size, extent, picture, len(items))
            if frame is not None:
                split = self.splits.of(picture) or gather.source.split_of(image)
                upright = tuple(placed(item, frame) for item in items)
                upright = fitting(upright, frame.size, picture, gather.report)
                gather.add(Sample(image, frame.size, upright, split, picture))

    def match_left_over(self, orphans: Sequence[_Orphan]) -> None:
        """Match files by what only they have in common; the others have lost their image."""
        left = [p for p in self.gather.source.images.images if not self.gather.met(p)]
        pairs = pair_left_over([orphan.file.path.name for orphan in orphans], left)
        for place, orphan in enumerate(orphans):
            file = orphan.file
            name = file.filename or file.path.name
            if place in pairs and not orphan.rivals:
                self.gather.forgive(pairs[place], name, file.path, "left-over")
                self.add(file, pairs[place])
            else:
                self.gather.lose_image(name, file.path, len(file.instances), orphan.rivals)

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


FORMAT = Format(
    name="voc",
    title="Pascal VOC",
    description="one XML file per image (LabelImg, CVAT, Roboflow), splits in ImageSets, masks",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
)
