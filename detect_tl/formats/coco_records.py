"""The annotations of a COCO file, many at a time, into columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.columns import InstanceTable, TableBuilder
from detect_tl.core.files import read_json
from detect_tl.core.json_list import Stretch, cut_list
from detect_tl.core.parallel import spread
from detect_tl.formats.coco_object import parse_object

# About 10,000 annotations with outlines: some hundred megabytes while they are Python objects.
_STRETCH_BYTES = 5 << 20
_STRETCH_RECORDS = 10_000

# An annotation with other keys, or with one of these in an unusual form, is taken by itself.
_PLAIN = frozenset("id image_id category_id bbox area segmentation iscrowd ignore".split())
_BAD = "coco.bad-object"


@dataclass(frozen=True, slots=True)
class Problem:
    """An annotation that is lost. place: in the list, from 1, when it has no id."""

    code: str
    text: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some annotations. image_ids: of the image of every object of the table.

    count: of all annotations, the lost ones included.
    """

    table: InstanceTable
    image_ids: list[Hashable]
    problems: list[Problem]
    count: int


def read_document(path: Path) -> tuple[Any, Sequence[Stretch]]:
    """A COCO file; its annotations apart, as stretches, where the file is large and orderly.

    Raises DataError, naming the line, for a file that is not JSON.
    """
    try:
        if path.stat().st_size > _STRETCH_BYTES:
            found = cut_list(path, "annotations", _STRETCH_BYTES)
            if found is not None:
                return found.document, found.stretches
    except OSError:
        pass  # reading the whole file meets the same error, and names it
    return read_json(path), ()


def chunks_of(stretches: Sequence[Stretch], categories: Mapping[Any, int]) -> list[Chunk]:
    """Parse stretches, on all cores; raise BadCutError when they cannot be parsed apart."""
    return list(spread(_parse_stretch, [(stretch, categories) for stretch in stretches]))


def chunks_of_list(records: list[Any], categories: Mapping[Any, int]) -> Iterator[Chunk]:
    """Parse a list of annotations; each goes from the list when it has been read."""
    while records:
        some = records[:_STRETCH_RECORDS]
        del records[:_STRETCH_RECORDS]
        yield parse_records(some, categories)


def _parse_stretch(task: tuple[Stretch, Mapping[Any, int]]) -> Chunk:
    stretch, categories = task
    return parse_records(stretch.records(), categories)


def parse_records(records: Sequence[Any], categories: Mapping[Any, int]) -> Chunk:
    """Turn annotations into columns.

    categories: what the ids of the file become.
    """
    try:
        return _Parsing(categories).all_at_once(records)
    except (ValueError, TypeError, OverflowError):
        return _Parsing(categories).one_by_one(records)


class _Parsing:
    """Annotations on their way into columns."""

    def __init__(self, categories: Mapping[Any, int]) -> None:
        self._categories = categories
        self._builder = TableBuilder()
        self._images: list[Hashable] = []
        self._problems: list[Problem] = []

    def all_at_once(self, records: Sequence[Any]) -> Chunk:
        """Take numbers as they come, and look at all of them together.

        Raises ValueError or TypeError when one of them is no number, or not finite.
        """
        plain: list[int] = []
        for place, record in enumerate(records, start=1):
            if _is_plain(record) and record["category_id"] in self._categories:
                plain.append(len(self._images))
                self._images.append(record["image_id"])
                self._builder.add_polygons(
                    self._categories[record["category_id"]],
                    record["bbox"],
                    record["segmentation"],
                    iscrowd=bool(record.get("iscrowd")),
                )
            else:
                self._take(record, place)
        table = self._builder.build()
        table.box[plain, 2:] += table.box[plain, :2]  # plain ones still have corner and size
        if not (np.isfinite(table.box).all() and np.isfinite(table.points).all()):
            raise ValueError("a number is not finite")
        return Chunk(table, self._images, self._problems, len(records))

    def one_by_one(self, records: Sequence[Any]) -> Chunk:
        """Look at every annotation by itself, and name what is wrong with it."""
        for place, record in enumerate(records, start=1):
            self._take(record, place)
        return Chunk(self._builder.build(), self._images, self._problems, len(records))

    def _take(self, record: Any, place: int) -> None:
        """Add one annotation, whatever it is, or the problem with it."""
        try:
            image = record["image_id"]
            hash(image)
        except (KeyError, TypeError):
            self._problems.append(Problem(_BAD, "of the list has no image_id", place))
            return
        try:
            self._builder.add(parse_object(record, self._categories))
            self._images.append(image)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else error
            code = getattr(error, "code", _BAD)
            text = f"annotation {record.get('id')!r} is lost: {what}"
            self._problems.append(Problem(code, text))


def _is_plain(record: Any) -> bool:
    """Whether an annotation has a box, and no outline or one of polygons, and nothing else."""
    try:
        segmentation = record["segmentation"]
        return bool(
            record.keys() <= _PLAIN
            and type(segmentation) is list
            and len(record["bbox"]) == 4
            and type(record["image_id"]) in (int, str)
            and all(type(part) is list and part and not len(part) % 2 for part in segmentation)
        )
    except (KeyError, TypeError, AttributeError):
        return False
