"""Masks whose numbers say both class and object: Cityscapes and the segmentation of KITTI.

Cityscapes: class * 1000 + object in `…_gtFine_instanceIds.png`, beside `…_leftImg8bit.png`.
KITTI: class * 256 + object in `instance/…png`, beside `image_2/…png`.
A class without an object is a crowd that nobody told apart, or, for road and sky, no object at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Instance
from detect_tl.core.findings import Report
from detect_tl.formats.label_image import LabelImage, regions
from detect_tl.formats.source import Source

# The classes of Cityscapes that have objects, by their numbers.
THINGS = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
_BEHIND = ("_gtFine_instanceIds", "_gtCoarse_instanceIds")


@dataclass(frozen=True, slots=True)
class CodedMask:
    """A mask, its image (None when it is missing), and the number of objects that a class has."""

    path: Path
    image: Path | None
    step: int


def find_coded(source: Source) -> list[CodedMask]:
    """The masks of both layouts below the source."""
    images = {p.as_posix(): p for p in source.images.images}
    found: list[CodedMask] = []
    for path in source.candidates(".png"):
        ending = next((e for e in _BEHIND if path.stem.endswith(e)), None)
        if ending is not None:
            name = f"{path.stem.removesuffix(ending)}_leftImg8bit.png"
            mirrored = path.as_posix().replace(f"/{ending[1:].split('_')[0]}/", "/leftImg8bit/")
            place = mirrored.rpartition("/")[0] + f"/{name}"
            found.append(CodedMask(path, images.get(place), 1000))
        elif path.parent.name == "instance" and (path.parent.parent / "image_2").is_dir():
            place = (path.parent.parent / "image_2" / path.name).as_posix()
            found.append(CodedMask(path, images.get(place), 256))
    return found


def is_of_the_set(path: Path) -> bool:
    """Whether a picture is a mask of these sets, of objects or of classes."""
    return (
        "_gtFine_" in path.name
        or "_gtCoarse_" in path.name
        or path.parent.name
        in (
            "instance",
            "semantic",
            "semantic_rgb",
        )
    )


def objects_of(
    image: LabelImage, step: int, index: CategoryIndex, report: Report
) -> Iterator[Instance]:
    """The objects of a mask; what is no object is counted in `report.lost`."""
    for region in regions(image.values):
        kind, number = divmod(region.value, step)
        # In Cityscapes, a number below the step is a bare class.
        crowd = number == 0 if step == 256 else kind == 0
        if step == 1000 and crowd:
            kind = region.value
        name = THINGS.get(kind)
        if name is not None:
            yield Instance(index.add(name), region.box, region.mask, crowd)
        else:
            report.lost["regions-of-stuff"] += 1
