"""CVAT 1.1: one XML file for all images of a task, or for all tracks of a video.

Coordinates are pixels with decimals, from the outer corner of the first one. Labels keep the order
in which the file declares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Sample
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.cvat.meta import Meta, read_meta
from detect_tl.formats.cvat.nodes import Node, children_of
from detect_tl.formats.cvat.objects import Found, ObjectReader, join
from detect_tl.formats.cvat.shapes import WITH_AREA
from detect_tl.formats.cvat.video import (
    FrameImages,
    Video,
    frame_name,
    refuse_mixed,
    report_no_frames,
)
from detect_tl.formats.cvat.write import LOSSES, write
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.recognise import recognise
from detect_tl.formats.records import leave_out_unlisted, size_of, split_of_stem
from detect_tl.formats.source import Source, split_name

_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_FIRST_TAG = re.compile(rb"<([A-Za-z_][^\s/>]*)")
_CONTENT = re.compile(rb"<(meta|image|track)[\s>]")
_ROOT = "annotations"
# What CVAT calls the subset of a task for which nobody chose one.
_NO_SUBSET = "default"


def sniff(source: Source) -> Sniff:
    return recognise(source, (".xml",), _is_cvat, "an <annotations> root")


def _is_cvat(peek: bytes) -> bool:
    text = _COMMENT.sub(b"", peek)
    first = _FIRST_TAG.search(text)
    return first is not None and first[1] == _ROOT.encode() and bool(_CONTENT.search(text))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not well-formed XML.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    declared: dict[str, None] = {}
    files = sniff(source).files
    for path in files:
        report.read["annotation-files"] += 1
        file = _File(path, len(files) == 1, gather, index)
        declared |= dict.fromkeys(file.read().labels)
    leave_out_unlisted(gather)
    met = [category.name for category in index.categories()]
    order = [*declared, *alphabetical(name for name in met if name not in declared)]
    return gather.dataset(index, order)


@dataclass(slots=True)
class _File:
    """One XML file on its way into the data set. alone: whether the source has no other."""

    path: Path
    alone: bool
    gather: Gatherer
    index: CategoryIndex
    videos: dict[tuple[str, str], Video] = field(default_factory=dict)
    unknown_subsets: set[str] = field(default_factory=set)

    def read(self) -> Meta:
        reader = self._reader(Meta())
        for node in children_of(self.path, _ROOT):
            if node.tag == "meta":
                reader = self._reader(read_meta(node))
            elif node.tag == "image":
                self._image(node, reader)
            elif node.tag == "track":
                self._video(node, reader.meta).add(node, reader, self.gather)
        refuse_mixed([*self.videos.values()], self.path)
        for video in self.videos.values():
            video.place(reader)
            self._frames(video)
        return reader.meta

    def _reader(self, meta: Meta) -> ObjectReader:
        return ObjectReader(self.path, meta, self.index, self.gather.report)

    def _image(self, node: Node, reader: ObjectReader) -> None:
        values = node.attributes
        name = values.get("name", "")
        subset = values.get("subset") or reader.meta.task(values.get("task_id", "")).subset
        objects = sum(child.tag in WITH_AREA for child in node.children)
        near = list(self._folders(subset))
        image = self.gather.find(_spelled(name), self.path, objects, near=near, hints=[subset])
        header = None if image is None else self.gather.header(image, objects)
        if image is None or header is None:
            return
        declared = size_of(values.get("width"), values.get("height"))
        size = declared if declared and min(declared) > 0 else header.size
        read = (reader.read(child, size, child.attributes, {}) for child in node.children)
        self._add(image, size, [found for found in read if found is not None], subset)

    def _folders(self, subset: str) -> Iterator[Path]:
        """Where images of a subset lie: as CVAT exports them, and as our own writer finds them."""
        for base in (self.path.parent, self.path.parent.parent):
            yield base / "images" / subset
            yield base / "images"
            yield base / subset
            yield base

    def _add(self, image: Path, size: Size | None, items: Sequence[Found], subset: str) -> None:
        """Keep one image with its objects. size: as the file declares it, which may be wrong."""
        instances = join(items, self.gather.report)
        extent = extent_of(item.box for item in instances)
        frame = self.gather.frame(image, size, extent, self.path, len(instances))
        if frame is None:
            return
        objects = tuple(placed(item, frame) for item in instances)
        self.gather.add(Sample(image, frame.size, objects, self._split(image, subset), self.path))

    def _split(self, image: Path, subset: str) -> str | None:
        """What the subset says, else the name of the file, else a folder above the image."""
        split = split_name(subset)
        if split is None and subset not in ("", _NO_SUBSET, *self.unknown_subsets):
            self.unknown_subsets.add(subset)
            text = f"the subset {subset!r} is not train, val or test; its images are in no split"
            self.gather.report.add("split.unknown", "info", text, self.path)
        return split or split_of_stem(self.path.stem) or self.gather.source.split_of(image)

    def _video(self, track: Node, meta: Meta) -> Video:
        task_id = track.attributes.get("task_id", "")
        task = meta.task(task_id)
        subset = track.attributes.get("subset") or task.subset
        if (task_id, subset) not in self.videos:
            source = self.gather.source
            folder = source.root if self.alone else self.path.parent
            images = FrameImages(source.images.images, folder, subset)
            self.videos[task_id, subset] = Video(task, subset, task_id, images)
        return self.videos[task_id, subset]

    def _frames(self, video: Video) -> None:
        """Keep the frames of a video, those in which nothing is seen too."""
        known = video.images.by_number
        if video.frames and not any(frame in known for frame in video.frames):
            report_no_frames(video, self.gather, self.path)
            return
        covered = {frame for frame in known if video.task.covers(frame)}
        for frame in sorted(covered | set(video.frames)):
            items, paths = video.frames.get(frame, []), known.get(frame, [])
            if len(paths) == 1:
                self._add(paths[0], video.task.size, items, video.subset)
            elif items:
                self.gather.lose_image(frame_name(frame), self.path, len(items), paths)


def _spelled(name: str) -> list[str]:
    """What the file of an image may be called: CVAT gives frames of a video without an ending."""
    if not name or Path(name).suffix.lower() in IMAGE_SUFFIXES:
        return [name]
    return [*(f"{name}{suffix}" for suffix in (".PNG", ".png", ".jpg", ".jpeg")), name]


FORMAT = Format(
    name="cvat",
    title="CVAT",
    description="one XML file of images or tracks with boxes, polygons, ellipses and masks",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
    opening="make a task of {folder}/images/train, with cvat/labels.json in the Raw tab of its"
    " labels; then Upload annotations, CVAT 1.1, cvat/train.xml",
)
