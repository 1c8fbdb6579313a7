"""The annotations of a COCO file, many at a time, into columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.columns import InstanceTable, Rows, TableBuilder, stacked
from detect_tl.core.files import read_json
from detect_tl.core.json_list import BadCutError, Stretch, cut_list
from detect_tl.core.parallel import spread
from detect_tl.formats.coco.object import parse_object

# About 10,000 annotations with outlines: some hundred megabytes while they are Python objects.
_STRETCH_BYTES = 5 << 20
_STRETCH_RECORDS = 10_000

# An annotation with other keys, or with one of these in an unusual form, is taken by itself.
_PLAIN = frozenset("id image_id category_id bbox area segmentation iscrowd ignore".split())
_BAD = "coco.bad-object"


@dataclass(frozen=True, slots=True)
class Problem:
    """An annotation that is lost.

    place: in the list, from 1, when it has no id. image: the id of its image, when it has one.
    """

    code: str
    text: str
    place: int | None = None
    image: Hashable = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some annotations. image_ids: of the image of every object of the table.

    count: of all annotations, the lost ones included.
    """

    table: InstanceTable
    image_ids: list[Hashable]
    problems: list[Problem]
    count: int


def read_document(path: Path) -> tuple[Any, Annotations]:
    """A COCO file, and its annotations, which are parsed when they are asked for.

    Raises DataError, naming the line, for a file that is not JSON.
    """
    with suppress(OSError):  # reading the whole file meets the same error, and names it
        if path.stat().st_size > _STRETCH_BYTES:
            found = cut_list(path, "annotations", _STRETCH_BYTES)
            if found is not None:
                return found.document, Annotations(path, found.document, found.stretches)
    document = read_json(path)
    return document, Annotations(path, document, ())


class Annotations:
    """The annotations of a file: still in its document, or as stretches where it is large.

    strangers: how many belong to images that the file does not list, by image id.
    lost: how many could not be read, by image id.
    retyped: how many name their image by a text where the list has a number, or vice versa.
    """

    def __init__(self, path: Path, document: Any, stretches: Sequence[Stretch]) -> None:
        self._path = path
        self._document = document
        self._stretches = stretches
        self._by_text: dict[str, int] = {}
        self.strangers: Counter[Any] = Counter()
        self.lost: Counter[Any] = Counter()
        self.retyped = 0

    def by_image(
        self,
        images: Iterable[Any],
        categories: Mapping[Any, int],
        lose: Callable[[str, str], None],
    ) -> list[Rows]:
        """The objects of every image, in the order of the images.

        images: their ids. categories: what the ids of the file become.
        lose: is told text and code of every annotation that is lost.
        """
        places = {image_id: place for place, image_id in enumerate(images)}
        tables: list[InstanceTable] = []
        found: list[int] = []
        count = 0
        for chunk in self._chunks(categories):
            for problem in chunk.problems:
                at = "" if problem.place is None else f"annotation {count + problem.place} "
                lose(f"{at}{problem.text}", problem.code)
                self.lost[problem.image] += 1
            count += chunk.count
            tables.append(chunk.table)
            found += [self._place(image_id, places) for image_id in chunk.image_ids]
        image_of = np.asarray(found, dtype=np.int64)
        order = np.argsort(image_of, kind="stable")
        table = stacked(tables)
        if not (order == np.arange(len(order))).all():
            table = table.picked(order)
        edges = np.searchsorted(image_of[order], np.arange(len(places) + 1)).tolist()
        return [Rows(table, start, stop) for start, stop in pairwise(edges)]

    def _place(self, image_id: Any, places: Mapping[Any, int]) -> int:
        """Which image an id means, -1 for none; "7" is 7 where there is no image "7"."""
        place = places.get(image_id, -1)
        if place >= 0:
            return place
        if not self._by_text:
            self._by_text = {str(known): place for known, place in places.items()}
        if len(self._by_text) == len(places) and str(image_id) in self._by_text:
            self.retyped += 1
            return self._by_text[str(image_id)]
        self.strangers[image_id] += 1
        return -1

    def _chunks(self, categories: Mapping[Any, int]) -> Iterable[Chunk]:
        """On all cores where there are stretches; the list of the document is used up."""
        records: list[Any] = self._document.pop("annotations", [])
        if self._stretches:
            try:
                return list(spread(_parse_stretch, [(s, categories) for s in self._stretches]))
            except BadCutError:
                records = read_json(self._path)["annotations"]
        return _chunks_of(records, categories)


def _chunks_of(records: list[Any], categories: Mapping[Any, int]) -> Iterator[Chunk]:
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
            self._problems.append(Problem(code, text, image=image))


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
