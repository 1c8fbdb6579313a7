"""CVAT for video: tracks with a shape per frame, in place of images with shapes.

CVAT writes every frame in which an object is seen. Of a file that only has key frames, the rest is
what CVAT makes of them on upload: boxes and ellipses move in a straight line from one to the next,
and what is never taken outside stays where it is until the last frame.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from detect_tl.core.dataset import Json
from detect_tl.core.errors import DataError
from detect_tl.core.files import VIDEO_SUFFIXES
from detect_tl.core.geometry import Size
from detect_tl.formats.cvat.meta import Task
from detect_tl.formats.cvat.nodes import Node
from detect_tl.formats.cvat.objects import Found, ObjectReader, source_of
from detect_tl.formats.cvat.shapes import WITH_AREA, Bitmap
from detect_tl.formats.gather import Gatherer
from detect_tl.formats.source import Source

_FRAME = re.compile(r"frame_(\d{1,12})", re.IGNORECASE)


def frame_name(number: int) -> str:
    """What CVAT calls the image of a frame."""
    return f"frame_{number:06d}.PNG"


class FrameImages:
    """The images of a video, by the number of their frame."""

    def __init__(self, images: Sequence[Path], folder: Path, subset: str) -> None:
        """Take those below a folder, and of them those in a folder of the subset, if any."""
        frames = [(int(m[1]), p) for p in images if (m := _FRAME.fullmatch(p.stem))]
        below = [(n, p) for n, p in frames if folder in p.parents]
        inside = [(n, p) for n, p in below if subset and subset in p.parts] or below
        self.by_number: dict[int, list[Path]] = defaultdict(list)
        for number, path in sorted(inside):
            self.by_number[number].append(path)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A shape in one frame. item: None when it cannot be read."""

    frame: int
    outside: bool
    item: Found | None
    node: Node


@dataclass(slots=True)
class Video:
    """The tracks of one task of a file, and what they put into each frame."""

    task: Task
    subset: str
    task_id: str
    images: FrameImages
    frames: dict[int, list[Found]] = field(default_factory=dict)
    tracks: list[list[_Shown]] = field(default_factory=list)
    # Whether all shapes are key frames, so that those in between may be missing.
    keyed: bool = True

    def add(self, track: Node, reader: ObjectReader, gather: Gatherer) -> None:
        """Read the shapes of a track, in the order of their frames."""
        name = track.attributes.get("id", "")
        more: dict[str, Json] = {"track_id": int(name) if _is_number(name) else name}
        more |= source_of(track.attributes)
        shown: dict[int, _Shown] = {}
        for node in track.children:
            text = node.attributes.get("frame", "")
            if not _is_number(text) or int(text) in shown:
                reader.report.lost["objects-unreadable"] += 1
                what = "is given twice" if _is_number(text) else "is no number"
                reader.say("bad-shape", "error", f"its frame {text!r} {what}; it is lost", node)
                continue
            frame, outside = int(text), node.attributes.get("outside") == "1"
            if outside and node.tag not in WITH_AREA:
                continue
            size = self.task.size or self._size_of(frame, gather)
            item = reader.read(node, size, track.attributes, more)
            shown[frame] = _Shown(frame, outside, item, node)
            self.keyed &= node.attributes.get("keyframe") == "1"
        self.tracks.append([shown[frame] for frame in sorted(shown)])

    def place(self, reader: ObjectReader) -> None:
        """Put every track into the frames in which it is seen."""
        for track in self.tracks:
            for shown in track:
                if shown.item is not None and not shown.outside:
                    self.frames.setdefault(shown.frame, []).append(shown.item)
            if self.keyed:
                for here, there in self._stretches(track):
                    self._fill(here, there, reader)

    def _size_of(self, frame: int, gather: Gatherer) -> Size | None:
        paths = self.images.by_number.get(frame, [])
        header = gather.header(paths[0]) if len(paths) == 1 else None
        return header.size if header else None

    def _stretches(self, track: Sequence[_Shown]) -> Iterator[tuple[_Shown, _Shown]]:
        """Pairs of key frames between which an object is seen."""
        yield from ((a, b) for a, b in itertools.pairwise(track) if not a.outside)
        stop = self.task.stop
        if not track or track[-1].outside or stop is None or stop <= track[-1].frame:
            return
        last = track[-1]
        # CVAT leaves out the end of a single shape that lies one frame before the last.
        if len(track) > 1 or last.frame + self.task.step < stop:
            yield last, replace(last, frame=stop + 1)

    def _fill(self, here: _Shown, there: _Shown, reader: ObjectReader) -> None:
        """Put an object into the frames between two others, as far as they are on disk."""
        if here.item is None or there.item is None or isinstance(here.item.shape, Bitmap):
            return
        inside = range(here.frame + 1, there.frame)
        between = [n for n in self._on_disk(inside) if self.task.covers(n)]
        lost = 0
        for frame in between:
            share = (frame - here.frame) / (there.frame - here.frame)
            shape = here.item.shape.towards(there.item.shape, share)
            if shape is None:
                lost += 1
                continue
            self.frames.setdefault(frame, []).append(replace(here.item, shape=shape))
        if lost < len(between):
            reader.report.changed["objects-between-key-frames"] += len(between) - lost
        if lost:
            reader.report.lost["objects-between-key-frames"] += lost
            text = (
                f"the {here.node.tag} changes until frame {there.frame}; where it is in the {lost}"
                " frames between is not known. Export it from CVAT, which writes every frame"
            )
            reader.say("between-key-frames", "warning", text, here.node)

    def _on_disk(self, numbers: range) -> Iterator[int]:
        known = self.images.by_number
        if len(known) < len(numbers):
            return (n for n in known if n in numbers)
        return (n for n in numbers if n in known)


def refuse_mixed(videos: Sequence[Video], path: Path) -> None:
    """Raise DataError when two videos of a project lie in one folder: their frames have the same
    names."""
    owners: dict[str, str] = {}
    for video in videos:
        other = owners.setdefault(video.subset, video.task_id)
        if other != video.task_id:
            raise DataError(
                f"the frames of the tasks {other} and {video.task_id} have the same names",
                path=path,
                hint="Export every task by itself, each into its own folder.",
            )


def report_no_frames(video: Video, gather: Gatherer, path: Path) -> None:
    """Say how the frames of a video come onto the disk, and count what is lost without them."""
    objects = sum(map(len, video.frames.values()))
    gather.report.lost["images"] += len(video.frames)
    gather.report.lost["objects-without-image"] += objects
    missing = f"the {len(video.frames)} frames with {objects} objects are not on disk as images"
    gather.report.add("cvat.no-frames", "error", f"{missing}. {_advice(gather.source)}", path)


def _advice(source: Source) -> str:
    """How to come by the frames, from what is there in their place."""
    films = [p for p in source.files if p.suffix.lower() in VIDEO_SUFFIXES]
    if films:
        return (
            f"Extract them with: ffmpeg -i {shlex.quote(source.short(films[0]))}"
            " -fps_mode passthrough -start_number 0 images/frame_%06d.png"
        )
    if source.images.images:
        return (
            f"They would be called {frame_name(0)} and so on, not"
            f" {source.short(source.images.images[0])}; export them as 'CVAT for images', which"
            " says what its images are called"
        )
    return "Export them from CVAT with its images"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
