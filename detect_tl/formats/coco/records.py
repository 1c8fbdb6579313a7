"""The annotations of a COCO file, many at a time, into columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import simdjson

from detect_tl.core.columns import Index, InstanceTable, Rows, TableBuilder, stacked
from detect_tl.core.files import read_json
from detect_tl.core.json_list import BadCutError, Stretch, cut_list, records_in
from detect_tl.core.parallel import spread
from detect_tl.formats.coco.object import parse_object

# About 10,000 annotations with outlines: some hundred megabytes while they are Python objects.
_STRETCH_BYTES = 5 << 20
_STRETCH_RECORDS = 10_000

# An annotation with other keys, or with one of these in an unusual form, is taken by itself.
_NEEDED = frozenset("image_id category_id bbox segmentation".split())
_PLAIN = _NEEDED | frozenset("id area iscrowd ignore".split())
_NUMBER_BYTES = 8
_BOX_BYTES = 4 * _NUMBER_BYTES
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
        if (np.diff(image_of) < 0).any():
            order = np.argsort(image_of, kind="stable")
            tables, image_of = [stacked(tables).picked(order)], image_of[order]
        edges = np.searchsorted(image_of, np.arange(len(places) + 1))
        return list(_stretches_of(tables, edges))

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
                tasks = [(stretch, categories) for stretch in self._stretches]
                return list(spread(_parse_stretch, tasks, room=_room))
            except BadCutError:
                records = read_json(self._path)["annotations"]
        return _chunks_of(records, categories)


def _stretches_of(tables: Sequence[InstanceTable], edges: Index) -> Iterator[Rows]:
    """Stretches of objects of tables that follow each other, in the table where they are.

    edges: where the stretches begin and end, counted over all tables.
    """
    if not tables:
        tables = [stacked(())]
    begin = np.cumsum([0, *map(len, tables)])
    at = np.clip(np.searchsorted(begin, edges[:-1], side="right") - 1, 0, len(tables) - 1)
    begins = begin.tolist()
    for place, (start, stop) in zip(at.tolist(), pairwise(edges.tolist()), strict=True):
        if stop <= begins[place + 1]:
            yield Rows(tables[place], start - begins[place], stop - begins[place])
        else:
            yield _across(tables[place:], start - begins[place], stop - start)


def _across(tables: Sequence[InstanceTable], skipped: int, count: int) -> Rows:
    """Objects of more than one table, from a row of the first one on, in a table of their own."""
    parts, start, left = [], skipped, count
    for table in tables:
        rows = np.arange(start, min(start + left, len(table)))
        parts.append(table.picked(rows).compact())
        start, left = 0, left - len(rows)
        if not left:
            break
    return Rows(stacked(parts), 0, count)


def _chunks_of(records: list[Any], categories: Mapping[Any, int]) -> Iterator[Chunk]:
    while records:
        some = records[:_STRETCH_RECORDS]
        del records[:_STRETCH_RECORDS]
        yield parse_records(some, categories)


def _room(task: tuple[Stretch, Mapping[Any, int]]) -> int:
    """A number takes eight bytes and at least two in JSON; nothing else of a table takes more."""
    return 4 * task[0].length + _STRETCH_BYTES


def _parse_stretch(task: tuple[Stretch, Mapping[Any, int]]) -> Chunk:
    stretch, categories = task
    content = stretch.content()
    try:
        return _Parsing(categories).plainly(content)
    except (ValueError, TypeError, RuntimeError):
        return parse_records(records_in(content), categories)


def parse_records(records: Sequence[Any], categories: Mapping[Any, int]) -> Chunk:
    """Turn annotations into columns, one by one, and name what is wrong with any.

    categories: what the ids of the file become.
    """
    parsing = _Parsing(categories)
    for place, record in enumerate(records, start=1):
        parsing.take(record, place)
    return parsing.chunk(len(records))


class _Parsing:
    """Annotations on their way into columns."""

    def __init__(self, categories: Mapping[Any, int]) -> None:
        self._categories = categories
        self._builder = TableBuilder()
        self._images: list[Hashable] = []
        self._problems: list[Problem] = []

    def chunk(self, count: int) -> Chunk:
        """What was taken. count: of all annotations, the lost ones included."""
        return Chunk(self._builder.build(), self._images, self._problems, count)

    def plainly(self, content: bytes) -> Chunk:
        """Take the numbers of plain annotations from the JSON text without making objects of them.

        content: a list of annotations. An annotation that is not plain is taken by itself.
        Raises ValueError, TypeError or RuntimeError for what is not valid, or odd in a way that
        only the other way of parsing understands.
        """
        records: Any = simdjson.Parser().parse(content)
        plain: list[int] = []
        brackets = 1
        for place, record in enumerate(records, start=1):
            if type(record) is not simdjson.Object:
                raise TypeError("an annotation is no object")
            lengths = self._plain(record)
            if lengths is None:
                self.take(record.as_dict(), place)
            else:
                plain.append(len(self._images))
                self._images.append(record["image_id"])
                brackets += 2 + len(lengths)
        # A plain outline is a list of lists of numbers; one nested deeper looks the same when it
        # is read as numbers, but has more brackets. (So has a bracket in a text.)
        if len(plain) == len(records) and content.count(b"]") != brackets:
            raise ValueError("there are more lists than expected")
        chunk = self.chunk(len(records))
        box = chunk.table.box
        box[plain, 2:] += box[plain, :2]  # plain ones still have corner and size
        return chunk

    def _plain(self, record: Any) -> list[int] | None:
        """Add an annotation that has a box, and an outline or none, and nothing unusual.

        Returns how many points its rings have; None, with nothing added, for any other.
        """
        if not _are_plain(tuple(record)):
            return None
        outline, bbox = record["segmentation"], record["bbox"]
        category = self._categories.get(_plain_id(record["category_id"]))
        crowd = record.get("iscrowd", 0)
        if (
            category is None
            or _plain_id(record["image_id"]) is None
            or type(outline) is not simdjson.Array
            or type(bbox) is not simdjson.Array
            or type(crowd) not in (int, bool)
        ):
            return None
        box = memoryview(bbox.as_buffer(of_type="d"))
        points = memoryview(outline.as_buffer(of_type="d"))
        numbers = [len(part) for part in cast("Iterable[simdjson.Array]", outline)]
        whole = box.nbytes == _BOX_BYTES and points.nbytes == _NUMBER_BYTES * sum(numbers)
        if not whole or any(n % 2 or not n for n in numbers):
            return None
        lengths = [n // 2 for n in numbers]
        self._builder.add_buffers(category, box, points, lengths, iscrowd=bool(crowd))
        return lengths

    def take(self, record: Any, place: int) -> None:
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


@lru_cache
def _are_plain(keys: tuple[str, ...]) -> bool:
    """Whether an annotation with these keys has what is needed, nothing unknown, nothing twice."""
    known = frozenset(keys)
    return _NEEDED <= known <= _PLAIN and len(known) == len(keys)


def _plain_id(value: Any) -> int | str | None:
    return value if type(value) in (int, str) else None
