"""Masks as pictures: a number per object in one picture, or a black and white picture per object.

    images/a.jpg  masks/a.png                   numbers, in grey (8 or 16 bits) or with a palette
    images/a.jpg  masks/a_1.png, masks/a/1.png  an object each; `masks/cat/a_1.png` has a class
    <id>/images/x.png  <id>/masks/*.png         DSB 2018
    …_leftImg8bit.png  …_instanceIds.png        Cityscapes; KITTI's image_2/ and instance/

No name makes a picture a mask by itself: its pixels have to be numbers as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.frame import frame_of
from detect_tl.formats.gather import Gatherer, alphabetical, placed
from detect_tl.formats.label_image import read_label_image
from detect_tl.formats.masks_png.cityscapes import find_coded, is_of_the_set, objects_of
from detect_tl.formats.masks_png.layout import MaskFile, find_masks
from detect_tl.formats.masks_png.objects import regions_of, unlike_a_mask
from detect_tl.formats.source import Source
from detect_tl.formats.voc.segmentation import mask_files

_NAME = "masks"
_UNNAMED = "object"
# Masks looked into before a folder is taken for one of masks.
_SAMPLES = 3
_OTHERS = re.compile(
    rb'"(annotations|shapes|regions|objects|completions|_via_img_metadata)"\s*:|'
    rb"<annotations?[\s>]|MaskPath|EncodedPixels|bbox|x_?min"
)
_CLASS_FILES = ("classes.txt", "labels.txt", "class_names.txt")


def sniff(source: Source) -> Sniff:
    """Looks into the pixels of a few masks; their ends would not tell them from photos."""
    if mask_files(source):
        return Sniff("SegmentationObject is a folder of Pascal VOC")
    other = None if source.options.from_format == _NAME else _described_otherwise(source)
    if other is not None:
        return Sniff(f"{source.short(other)} describes the images")
    coded = find_coded(source)
    if coded:
        about = f"{len(coded)} pictures of objects as in Cityscapes or KITTI"
        return Sniff(about, tuple(c.path for c in coded))
    masks = find_masks(source)
    owned = [mask for mask in masks if mask.image is not None]
    if not owned:
        return Sniff("no picture that a folder or its name calls the mask of an image")
    why = _unlike(owned)
    if why:
        return Sniff(f"{source.short(owned[0].path)} is called a mask, but {why}")
    return Sniff(f"{len(masks)} pictures of masks", tuple(mask.path for mask in masks))


def _described_otherwise(source: Source) -> Path | None:
    """A file that describes the images as well; masks are then a by-product of its tool."""
    files = source.candidates(".json", ".xml", ".csv", ".ndjson", ".jsonl")
    return next((p for p in files if _OTHERS.search(source.peek(p))), None)


def _unlike(masks: Sequence[MaskFile]) -> str:
    """Why masks are pictures; "" when one of those looked into may be numbers."""
    why = ""
    step = max(1, len(masks) // _SAMPLES)
    for mask in masks[::step][:_SAMPLES]:
        try:
            why = unlike_a_mask(read_label_image(mask.path))
        except DataError as error:
            why = error.message
        if not why:
            return ""
    return why


def read(source: Source, report: Report) -> Dataset:
    """Read all masks that `sniff` claims; a damaged one is named, and the others are read."""
    coded = find_coded(source)
    reading = _Reading.of(source, report, coded=bool(coded))
    if coded:
        for item in coded:
            reading.add_coded(item.path, item.image, item.step)
    else:
        reading.add_masks(find_masks(source))
    return reading.dataset()


@dataclass(slots=True)
class _Reading:
    """Where the masks of one source end up.

    declared: class names of a file beside the images; empty without one.
    wholes: objects per mask of those that may hold several. found: masks and objects by image.
    spoiled: images of masks that cannot be used.
    """

    gather: Gatherer
    index: CategoryIndex
    declared: list[str]
    wholes: list[int] = field(default_factory=list)
    found: dict[Path, tuple[Path, list[Instance]]] = field(default_factory=dict)
    spoiled: set[Path] = field(default_factory=set)

    @classmethod
    def of(cls, source: Source, report: Report, *, coded: bool) -> _Reading:
        pictures = source.images.images
        masks = [p for p in pictures if is_of_the_set(p)] if coded else _paths(source)
        declared = [] if coded else _declared(source)
        return cls(Gatherer(source.without(masks), report), CategoryIndex(declared), declared)

    @property
    def report(self) -> Report:
        return self.gather.report

    def add_coded(self, path: Path, image: Path | None, step: int) -> None:
        self.report.read["mask-files"] += 1
        try:
            picture = read_label_image(path)
        except DataError as error:
            self._lose(path, image, error.message)
            return
        items = list(objects_of(picture, step, self.index, self.report))
        self._keep(image, path, picture.size, items)

    def add_masks(self, masks: Sequence[MaskFile]) -> None:
        for mask in masks:
            self.report.read["mask-files"] += 1
            try:
                picture = read_label_image(mask.path)
            except DataError as error:
                self._lose(mask.path, mask.image, error.message)
                continue
            why = unlike_a_mask(picture)
            if why:
                self._lose(mask.path, mask.image, f"called a mask, but {why}")
                continue
            found = regions_of(picture, single=mask.single, report=self.report)
            if not mask.single:
                self.wholes.append(len(found))
            kind = mask.kind or (self.declared[0] if len(self.declared) == 1 else _UNNAMED)
            items = [Instance(self.index.add(kind), r.box, r.mask) for r in found]
            self._keep(mask.image, mask.path, picture.size, items)

    def _keep(self, image: Path | None, path: Path, size: Size, items: list[Instance]) -> None:
        """Put the objects of a mask on their image, if both are of the same size."""
        gather = self.gather
        if image is None:
            gather.lose_image(path.stem, path, len(items))
            return
        header = gather.header(image, len(items))
        if header is None:
            return
        frame = frame_of((header.size, header.orientation), size)
        if frame.note in ("swapped", "unclear"):
            w, h = header.size
            self.report.lost["objects-unreadable"] += len(items)
            why = f"of {size.width}x{size.height} pixels, its image of {w}x{h}"
            self._lose(path, image, why)
            return
        if frame.note:
            gather.frame(image, size, None, path, len(items))  # counts and names the change
        upright = (placed(item, frame) for item in items)
        self.found.setdefault(image, (path, []))[1].extend(upright)

    def _lose(self, path: Path, image: Path | None, why: str) -> None:
        self.report.lost["mask-files"] += 1
        if image is not None:
            self.spoiled.add(image)
        self.report.add("masks.bad-mask", "error", f"the mask is lost: {why}", path)

    def dataset(self) -> Dataset:
        gather = self.gather
        for image, (path, items) in sorted(self.found.items()):
            header = gather.header(image)
            if header is not None:
                split = gather.source.split_of(image) or gather.source.split_of(path)
                gather.add(Sample(image, header.size, tuple(items), split, path))
        # Without its mask, an image is not one without objects.
        left = self.spoiled - set(self.found)
        if left:
            self.report.lost["images"] += len(left)
        gather.add_backgrounds(p for p in gather.source.images.images if p not in left)
        self._say_what_was_guessed()
        met = [category.name for category in self.index.categories()]
        order = self.declared + alphabetical(n for n in met if n not in self.declared)
        return self.gather.dataset(self.index, order)

    def _say_what_was_guessed(self) -> None:
        root = self.gather.source.root
        if self.index.get(_UNNAMED) is not None and _UNNAMED not in self.declared:
            text = f'no folder and no file of one class names what the masks show: "{_UNNAMED}"'
            self.report.add("masks.no-class", "warning", text, root)
        if self.wholes and max(self.wholes) == 1:
            text = "every mask holds one value; all that it covers is taken for one object"
            self.report.add("masks.one-object", "warning", text, root)
        elif self.wholes:
            text = "every number in a mask is taken for an object, not for a class"
            self.report.add("masks.numbers", "info", text, root)


def _paths(source: Source) -> Iterator[Path]:
    return (mask.path for mask in find_masks(source))


def _declared(source: Source) -> list[str]:
    for path in source.files:
        if path.name.casefold() in _CLASS_FILES:
            lines = path.read_text("utf-8-sig", errors="replace").split("\n")
            words = (line.strip() for line in lines)
            return list(dict.fromkeys(w for w in words if w and not w.startswith("_")))
    return []


FORMAT = Format(
    name=_NAME,
    title="Masks",
    description="pictures of masks: a number per object, or a black and white picture each",
    sniff=sniff,
    read=read,
)
