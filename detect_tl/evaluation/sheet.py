"""A truth and what a model answered to it, in columns: what everything here is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.geometry import Size
from detect_tl.evaluation.matching import Matches, match
from detect_tl.evaluation.overlaps import Found, Kind, Objects, columns
from detect_tl.evaluation.truth import Rle, Truth, TruthObject, load_truth

MAX_DETECTIONS = 300


@dataclass(frozen=True, eq=False)
class Sheet:
    """Truth and answers of one split.

    names: the model's classes. classes: these and those of the truth; all categories are numbers of
    theirs. found: images are numbered in the order of their ids.
    masks: whether masks are judged, beside boxes. max_det: best detections of a class that count in
    an image.
    """

    truth: Truth
    names: tuple[str, ...]
    classes: tuple[str, ...]
    found: Found
    masks: bool
    max_det: int

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return ("bbox", "segm") if self.masks else ("bbox",)

    @cached_property
    def image_ids(self) -> list[int]:
        return sorted(image.id for image in self.truth.images)

    @cached_property
    def items(self) -> list[TruthObject]:
        """The objects in the order of their images, as `objects` has them, and open images."""
        place = self._place
        every = (*self.truth.objects, *self.truth.open)
        return sorted(every, key=lambda item: place[item.image_id])

    @cached_property
    def _place(self) -> dict[int, int]:
        return {image_id: number for number, image_id in enumerate(self.image_ids)}

    def objects(self, kind: Kind) -> Objects:
        """The objects in columns. Where masks are judged, one without is a crowd."""
        items, sizes, place = self.items, self.truth.size_of(), self._place
        bare = [kind == "segm" and item.mask is None for item in items]
        return Objects(
            image=np.array([place[item.image_id] for item in items], np.int64),
            category=np.array([item.category for item in items], np.int64),
            xywh=np.array([item.box.xywh for item in items], np.float64).reshape(-1, 4),
            crowd=np.array(
                [item.iscrowd or b for item, b in zip(items, bare, strict=True)], np.bool_
            ),
            masks=[region(item, sizes[item.image_id]) for item in items]
            if kind == "segm"
            else None,
        )

    def matches(self, kind: Kind) -> Matches:
        """Who met whom, by boxes or by masks."""
        return match(
            self.objects(kind),
            self.found,
            self.classes,
            images=len(self.image_ids),
            kind=kind,
            max_det=self.max_det,
        )


def region(item: TruthObject, size: Size) -> Rle:
    """The mask of an object; its box, where it has none."""
    if item.mask is not None:
        return item.mask
    from pycocotools import mask as coder

    box = np.array([item.box.xywh], dtype=np.float64)
    return dict(coder.frPyObjects(box, size.height, size.width)[0])


def make_sheet(
    truth: Path | Mapping[str, Any] | Truth,
    predictions: Iterable[tuple[int, Detections]],
    *,
    names: Sequence[str],
    masks: bool = False,
    max_det: int = MAX_DETECTIONS,
) -> Sheet:
    """Put a truth and predictions for it together; the parameters are those of `evaluate`."""
    known = truth if isinstance(truth, Truth) else load_truth(truth, masks=masks)
    classes = (*known.names, *(name for name in names if name not in known.names))
    category_of = np.array([classes.index(name) for name in names], np.int64)
    parts = _parts(known, predictions, category_of, masks=masks)
    return Sheet(known, tuple(names), classes, columns(parts), masks, max_det)


def as_results(sheet: Sheet) -> list[dict[str, Any]]:
    """The detections as COCO results, with the names of files and classes beside their numbers.

    `category_id` is the number of a class in `sheet.classes`.
    """
    found, ids = sheet.found, sheet.image_ids
    files = {image.id: image.file_name for image in sheet.truth.images}
    results: list[dict[str, Any]] = [
        {
            "image_id": ids[image],
            "file_name": files[ids[image]],
            "category_id": category,
            "category_name": sheet.classes[category],
            "bbox": box,
            "score": confidence,
        }
        for image, category, box, confidence in zip(
            *(c.tolist() for c in (found.image, found.category, found.xywh, found.score)),
            strict=True,
        )
    ]
    for result, mask in zip(results, found.masks or (), strict=False):
        counts = mask["counts"].decode("ascii")
        result["segmentation"] = {"size": list(mask["size"]), "counts": counts}
    return results


def _parts(
    truth: Truth,
    predictions: Iterable[tuple[int, Detections]],
    category_of: Any,
    *,
    masks: bool,
) -> Iterator[Found]:
    sizes = truth.size_of()
    place = {image_id: number for number, image_id in enumerate(sorted(sizes))}
    for image_id, found in predictions:
        if image_id not in sizes:
            raise DataError(f"there is a prediction for image {image_id}, which the truth lacks")
        corners = found.xyxy.astype(np.float64)
        yield Found(
            image=np.full(len(found), place[image_id]),
            category=category_of[found.class_id],
            xywh=np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]),
            score=found.score.astype(np.float64),
            masks=_pack(found, sizes[image_id]) if masks else None,
        )


def _pack(found: Detections, size: Size) -> list[Rle]:
    from pycocotools import mask as coder

    if not len(found):
        return []
    if found.mask is None:
        raise UsageError(
            "masks cannot be evaluated: this model gives boxes only",
            hint="Evaluate its boxes, or train with --task segment.",
        )
    if found.mask.shape[1:] != (size.height, size.width):
        raise DataError(f"a predicted mask is {found.mask.shape[1:]}, its image {size}")
    planes = np.asfortranarray(found.mask.transpose(1, 2, 0).astype(np.uint8))
    return [dict(rle) for rle in coder.encode(planes)]
