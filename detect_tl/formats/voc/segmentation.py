"""The pictures of Pascal VOC that say of every pixel which object, and which class, it belongs to.

`SegmentationObject/<stem>.png` numbers the objects, `SegmentationClass/<stem>.png` the classes.
Both are pictures with a palette, or in its colours (CVAT); 255 marks the border of objects, which
belongs to none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import CategoryIndex, Instance
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import RleMask, Size, box_iou
from detect_tl.formats.label_image import Colour, LabelImage, Region, read_label_image, regions
from detect_tl.formats.source import Source
from detect_tl.formats.voc.palette import CLASSES, VOID, palette

OBJECTS, KINDS = "SegmentationObject", "SegmentationClass"

# Boxes of VOC go around the border, which the pixels leave out; a small object then fills about
# half of its box.
_SAME_OBJECT = 0.3


def mask_files(source: Source) -> list[Path]:
    """Pictures of objects below the source, as far as they may be annotations."""
    return [p for p in source.candidates(".png") if p.parent.name == OBJECTS]


def is_mask(path: Path) -> bool:
    """Whether a picture holds numbers, not a photo."""
    return path.parent.name in (OBJECTS, KINDS)


class MaskFiles:
    """The pictures of objects, to be taken one by one by the files that describe their images."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            self._by_stem[path.stem].append(path)

    def take(self, annotation: Path) -> Path | None:
        """The picture called like a file: the one in the same VOC folder, or the only one."""
        same = self._by_stem.get(annotation.stem, [])
        near = [p for p in same if p.parent.parent in annotation.parents]
        found = near if len(near) == 1 else same
        if len(found) != 1:
            return None
        same.remove(picture := found[0])
        return picture

    def left(self) -> list[Path]:
        """What nobody took, in the order of the paths."""
        return sorted(path for paths in self._by_stem.values() for path in paths)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Reads the objects of one image from its two pictures.

    colours: class by its colour (labelmap.txt), the standard ones when empty.
    """

    colours: Mapping[Colour, str]

    def objects(
        self, path: Path, index: CategoryIndex, report: Report
    ) -> tuple[Size, list[Instance]]:
        """Size and objects of a picture in SegmentationObject, masks as run lengths.

        Raises DataError when the picture cannot be read; an object whose class is not known is
        counted as lost.
        """
        numbers = read_label_image(path)
        kinds = self._kinds(path.parent.with_name(KINDS) / path.name, numbers.size, report)
        found: list[Instance] = []
        objects = regions(numbers.values, _background(numbers))
        for region in sorted(objects, key=lambda r: _number(r.value, numbers)):
            name = self._name(region, kinds)
            if name is None:
                report.lost["masks-without-class"] += 1
                text = f"object {region.value} is lost: no class in {KINDS}"
                report.add("voc.mask-without-class", "error", text, path)
                continue
            found.append(Instance(index.add(name), region.box, region.mask))
        return numbers.size, found

    def _kinds(self, path: Path, size: Size, report: Report) -> LabelImage | None:
        if not path.is_file():
            return None
        try:
            kinds = read_label_image(path)
            if kinds.size != size:
                raise DataError(f"the mask is {kinds.size}, that of the objects {size}", path=path)
        except DataError as error:
            report.add("voc.bad-mask", "error", error.message, path)
            return None
        return kinds

    def _name(self, region: Region, kinds: LabelImage | None) -> str | None:
        """The class that most pixels of an object have."""
        if kinds is None:
            return None
        under = kinds.values[_pixels(region.mask)]
        without = _background(kinds)
        counts = Counter(v for v in under.tolist() if v not in without)
        return self._class(counts.most_common(1)[0][0], kinds) if counts else None

    def _class(self, value: int, kinds: LabelImage) -> str | None:
        colour = kinds.colours.get(value)
        if self.colours:
            return self.colours.get(colour or palette()[value % 256])
        number = _number(value, kinds)
        return CLASSES[number - 1] if 0 < number <= len(CLASSES) else None


def _number(value: int, image: LabelImage) -> int:
    """The number that a colour has in the palette of VOC; any other value is one itself."""
    colour = image.colours.get(value)
    return palette().index(colour) if colour in palette() else value


def _pixels(mask: RleMask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels of a mask, without drawing it."""
    ends = np.cumsum(mask.counts)
    spans = [np.arange(ends[k - 1], ends[k]) for k in range(1, len(mask.counts), 2)]
    places = np.concatenate(spans)
    return places % mask.size.height, places // mask.size.height


def _background(image: LabelImage) -> set[int]:
    """The numbers that stand for no object."""
    if not image.colours:
        return {0, VOID}
    nothing = ((0, 0, 0), palette()[VOID])
    return {value for value, colour in image.colours.items() if colour in nothing}


def joined(boxes: Sequence[Instance], masks: Sequence[Instance], report: Report) -> list[Instance]:
    """The objects of a file and of its picture: a mask goes to the box of its class it fills best.

    A box that has an outline already keeps it. What has no partner is kept as it is; all is counted
    in `report.changed`.
    """
    result = list(boxes)
    free, single = set(range(len(masks))), set(range(len(boxes)))
    for _, place, number in sorted(_overlaps(boxes, masks), reverse=True):
        if number in free and place in single:
            if result[place].mask is None:
                result[place] = replace(result[place], mask=masks[number].mask)
            free.discard(number)
            single.discard(place)
    counts = {
        "masks-joined-to-boxes": len(masks) - len(free),
        "objects-without-box-in-xml": len(free),
        "boxes-without-mask": sum(item.mask is None for item in result),
    }
    report.changed.update({name: count for name, count in counts.items() if count})
    return [*result, *(masks[number] for number in sorted(free))]


def fitting(
    items: Sequence[Instance], size: Size, path: Path, report: Report
) -> tuple[Instance, ...]:
    """The objects, those with a bitmap of another size than their image without it."""
    misfits = {i.mask.size for i in items if isinstance(i.mask, RleMask) and i.mask.size != size}
    if not misfits:
        return tuple(items)
    (w, h), *_ = misfits
    text = f"the mask is {w}x{h}, its image {size.width}x{size.height}; the boxes are kept"
    report.add("voc.bad-mask", "error", text, path)
    report.lost["mask-files"] += 1
    return tuple(
        replace(i, mask=None) if isinstance(i.mask, RleMask) and i.mask.size != size else i
        for i in items
    )


def _overlaps(
    boxes: Sequence[Instance], masks: Sequence[Instance]
) -> Iterator[tuple[float, int, int]]:
    for place, item in enumerate(boxes):
        for number, mask in enumerate(masks):
            iou = box_iou(item.box, mask.box) if item.category == mask.category else 0.0
            if iou >= _SAME_OBJECT:
                yield iou, place, number
