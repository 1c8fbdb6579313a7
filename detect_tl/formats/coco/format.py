"""COCO: one JSON file with images, annotations and categories, which refer to each other by id.

Ids are the source's own business: gapped, from 0 or from 1, they are mapped by the order in which
categories are declared, and by name between several files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl.core.columns import Rows
from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample, categories_of, renumber
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.coco.records import read_document
from detect_tl.formats.coco.write import LOSSES, write
from detect_tl.formats.gather import Gatherer, extent_of, placed
from detect_tl.formats.records import leave_out_unlisted, size_of, split_of_stem, words_of
from detect_tl.formats.source import Source

_IMAGES = re.compile(rb'"images"\s*:\s*\[')
_OTHERS = re.compile(rb'"(categories|annotations)"\s*:\s*\[')
_CAPTIONS = re.compile(rb'"(caption|segments_info)"\s*:')
# Other tasks of COCO, described in files beside the objects of the same images.
_OTHER_TASKS = ("captions_", "panoptic_", "stuff_", "person_keypoints_", "image_info_", "labels_")

_Record = Mapping[str, Any]


def sniff(source: Source) -> Sniff:
    files = source.candidates(".json")
    if not files:
        return Sniff("no .json file")
    claimed = [p for p in files if _is_coco(source.peek(p))]
    if any(p.name.startswith("instances_") for p in claimed):
        claimed = [p for p in claimed if not p.name.startswith(_OTHER_TASKS)]
    if not claimed:
        return Sniff(f'{counted(len(files), ".json file")}, none with "images" and "categories"')
    return Sniff(
        f'{counted(len(claimed), ".json file")} with "images" and "categories"', tuple(claimed)
    )


def _is_coco(ends: bytes) -> bool:
    return bool(_IMAGES.search(ends) and _OTHERS.search(ends) and not _CAPTIONS.search(ends))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not JSON or lacks its lists.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    dummies: set[str] = set()
    for path in sniff(source).files:
        report.read["annotation-files"] += 1
        file = CocoFile(path, index, gather)
        file.read()
        dummies |= _dummies(file.document)
    leave_out_unlisted(gather)
    dataset = gather.dataset(index)
    return _without(dataset, dummies, report)


def _without(dataset: Dataset, dummies: set[str], report: Report) -> Dataset:
    """Leave out placeholder categories, unless an object has one after all."""
    used = {category for s in dataset.samples for category in categories_of(s.instances)}
    unused = [n for k, n in enumerate(dataset.names) if n in dummies and k not in used]
    for name in unused:
        report.lost["placeholder-categories"] += 1
        text = f"category {name!r} only groups the others and has no objects; left out"
        report.add("class.placeholder", "info", text)
    return renumber(dataset, [name for name in dataset.names if name not in unused])


def _dummies(document: _Record) -> set[str]:
    """Roboflow puts a category of id 0 above all others, named as their supercategory."""
    categories = [c for c in document["categories"] if isinstance(c, dict)]
    above = Counter(c.get("supercategory") for c in categories)
    return {
        str(c.get("name"))
        for c in categories
        if c.get("id") == 0 and above[c.get("name")] == len(categories) - 1 > 0
    }


class CocoFile:
    """One JSON file, read into a Gatherer."""

    def __init__(self, path: Path, index: CategoryIndex, gather: Gatherer) -> None:
        """Raise DataError when the file is broken, or a list is missing."""
        document, self._annotations = read_document(path)
        if not isinstance(document, dict):
            raise DataError("not a COCO file: it is no object with lists", path=path)
        document.setdefault("annotations", [])
        for key in ("images", "annotations", "categories"):
            if not isinstance(document.get(key), list):
                raise DataError(f'not a COCO file: its "{key}" is no list', path=path)
        self.path = path
        self.document: dict[str, Any] = document
        self.gather = gather
        self.report = gather.report
        self.categories = self._categories(index)
        self.split = gather.source.split_of(path) or split_of_stem(path.stem)
        self.hints = [*words_of(path.stem), *([self.split] if self.split else [])]
        self.near = [path.parent, path.parent / "images", path.parent.parent / "images"]

    def read(self) -> None:
        """Add every image of the file with its objects."""
        images = self._images()
        objects = self._annotations.by_image(images, self.categories, self._lose)
        for (image_id, record), rows in zip(images.items(), objects, strict=True):
            if len(rows) or not self._annotations.lost[image_id]:
                self._add(record, rows)
            else:
                self._leave_out(record)
        self._say_strangers(self._annotations.strangers)
        if self._annotations.retyped:
            self.report.changed["image-ids-matched-as-text"] += self._annotations.retyped

    def _categories(self, index: CategoryIndex) -> dict[Any, int]:
        found: dict[Any, int] = {}
        for place, record in enumerate(self.document["categories"]):
            try:
                number, name = record["id"], str(record["name"]).strip()
                if not name:
                    raise ValueError("its name is empty")
                if found.get(number, index.get(name)) != index.get(name):
                    raise ValueError(f"id {number!r} is used twice")
                if number in found:
                    self.report.changed["repeated-categories-merged"] += 1
                found[number] = index.add(name, str(record.get("supercategory") or ""))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"category {place + 1} is damaged: {error}", path=self.path
                ) from error
        self._say_gaps(found)
        return found

    def _say_gaps(self, categories: Iterable[Any]) -> None:
        """Say which ids are not used in between: a reader that counts on them shifts classes."""
        ids = sorted(c for c in categories if isinstance(c, int))
        gaps = ids[-1] - ids[0] + 1 - len(ids) if ids else 0
        if gaps:
            text = (
                f"{len(ids)} category ids from {ids[0]} to {ids[-1]} leave out {gaps}; they were "
                f"mapped by name to 0 to {len(ids) - 1}"
            )
            self.report.add("class.id-gaps", "info", text, self.path)

    def _images(self) -> dict[Any, _Record]:
        found: dict[Any, _Record] = {}
        for place, record in enumerate(self.document["images"], start=1):
            try:
                name = _name(record)
                known = found.setdefault(record["id"], record) is not record
            except (KeyError, TypeError, AttributeError):
                self.report.lost["images"] += 1
                text = f"image {place} of the list has no id or no file_name; it is lost"
                self.report.add("coco.bad-image", "error", text, self.path)
                continue
            if known:
                self.report.lost["images"] += 1
                text = f"image id {record['id']!r} is used twice; {name!r} is lost"
                self.report.add("coco.duplicate-id", "error", text, self.path)
        self._say_not_exhaustive(found.values())
        return found

    def _say_not_exhaustive(self, images: Iterable[_Record]) -> None:
        """LVIS names classes of which an image shows more objects than are annotated."""
        count = sum(bool(record.get("not_exhaustive_category_ids")) for record in images)
        if count:
            text = f"on {count} images not every object of some classes is annotated"
            self.report.add("annotation.not-exhaustive", "info", text, self.path)

    def _say_strangers(self, strangers: Counter[Any]) -> None:
        for image_id, count in strangers.items():
            self.report.lost["objects-without-image"] += count
            text = f"image_id {image_id!r} is not in the list of images; {count} objects lost"
            self.report.add("coco.unknown-image", "error", text, self.path)

    def _add(self, record: _Record, rows: Rows) -> None:
        count = len(rows)
        image = self.gather.find(
            [_name(record)], self.path, count, near=self.near, hints=self.hints
        )
        if image is None:
            return
        declared, header = _size(record), self.gather.header(image, count)
        if header is None:
            return
        instances: Sequence[Instance] = rows
        if declared != header.size:
            extent = extent_of(item.box for item in rows)
            frame = self.gather.frame(image, declared, extent, self.path, count)
            if frame is not None and frame.moves:
                instances = tuple(placed(item, frame) for item in rows)
        split = self.split or self.gather.source.split_of(image)
        open_ = self._not_exhaustive(record)
        self.gather.add(Sample(image, header.size, instances, split, self.path, header, open_))

    def _not_exhaustive(self, record: _Record) -> tuple[int, ...]:
        """Classes of which an image shows more objects than are annotated."""
        named = record.get("not_exhaustive_category_ids") or ()
        return tuple(sorted({self.categories[k] for k in named if k in self.categories}))

    def _leave_out(self, record: _Record) -> None:
        """An image of whose objects none could be read would pass for a background."""
        image = self.gather.find([_name(record)], self.path, 0, near=self.near, hints=self.hints)
        if image is None or self.gather.header(image) is None:
            return
        self.report.lost["images"] += 1
        name = self.gather.source.short(image)
        text = f"no object on {name} could be read; it is left out, not taken for background"
        self.report.add("annotation.unreadable", "error", text, self.path)

    def _lose(self, text: str, code: str) -> None:
        self.report.lost["objects-unreadable"] += 1
        self.report.add(code, "error", text, self.path)


def _name(record: _Record) -> str:
    """What the file calls an image; LVIS gives its address only."""
    name = record.get("file_name") or record["coco_url"].rpartition("/")[2]
    return str(name)


def _size(record: _Record) -> Size | None:
    return size_of(record.get("width"), record.get("height"))


FORMAT = Format(
    name="coco",
    title="COCO",
    description="JSON files of images, annotations and categories, also as Roboflow folders",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
)
