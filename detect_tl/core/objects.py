"""One class and one annotated object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from detect_tl.core.geometry import Box, Mask

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

NO_ATTRIBUTES: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Category:
    """One class. Its id is its place in `Dataset.categories`."""

    name: str
    supercategory: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotated object.

    category: index into `Dataset.categories`.
    box: pixels of the upright image; always there, derived from the mask when the source has none.
    mask: what the source gave, polygons or RLE; None when it gave a box only.
    iscrowd: a group that evaluation ignores (COCO).
    attributes: whatever else the source said of it ("difficult", "occluded", "group_id", …).
    """

    category: int
    box: Box
    mask: Mask | None = None
    iscrowd: bool = False
    attributes: Mapping[str, Json] = field(default_factory=lambda: NO_ATTRIBUTES)
