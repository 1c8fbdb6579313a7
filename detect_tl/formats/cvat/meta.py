"""What a CVAT file says of itself: its labels, their attributes, and the frames of its tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from detect_tl.core.geometry import Size
from detect_tl.formats.cvat.nodes import Node
from detect_tl.formats.records import size_of

# Labels that are only drawn as these never become objects.
_WITHOUT_AREA = frozenset({"tag", "points", "polyline", "cuboid", "skeleton"})


@dataclass(frozen=True, slots=True)
class Task:
    """The frames of one task or job.

    start, stop: the first and the last frame of the video, both included; stop is None when
        unknown. step: every how many frames one is annotated.
    size: of the frames, pixels; None when the file does not say.
    """

    subset: str = ""
    start: int = 0
    stop: int | None = None
    step: int = 1
    size: Size | None = None

    def covers(self, frame: int) -> bool:
        """Whether a frame was there to be annotated."""
        inside = self.start <= frame and (self.stop is None or frame <= self.stop)
        return inside and (frame - self.start) % self.step == 0


@dataclass(frozen=True, slots=True)
class Meta:
    """labels: that may have an area, in their order. known: all labels that are declared.
    types: of attributes ("checkbox", "number", "text", …), by label and name.
    tasks: by their id; that of a file with a single one also stands under "".
    """

    labels: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def task(self, task_id: str) -> Task:
        """The task of an image or a track; of an unknown one, nothing is known."""
        return self.tasks.get(task_id) or self.tasks.get("") or Task()


def read_meta(node: Node) -> Meta:
    """Understand <meta>, whichever of a task, a job or a project was exported."""
    owner = next((o for tag in ("task", "job", "project") if (o := node.find(tag))), node)
    declared = owner.find("labels") or Node("labels", {}, 0)
    # the points of a skeleton are listed as labels with a parent
    labels = [label for label in declared.all("label") if label.find("parent") is None]
    names = [label.text_of("name") for label in labels]
    drawn = [n for n, label in zip(names, labels, strict=True) if _has_area(label) and n]
    return Meta(
        tuple(dict.fromkeys(drawn)),
        frozenset(names),
        {
            (name, a): kind
            for name, label in zip(names, labels, strict=True)
            for a, kind in _attributes(label)
        },
        _tasks(owner),
    )


def _has_area(label: Node) -> bool:
    return label.text_of("type") not in _WITHOUT_AREA


def _attributes(label: Node) -> Iterator[tuple[str, str]]:
    attributes = label.find("attributes")
    for attribute in attributes.all("attribute") if attributes else ():
        yield attribute.text_of("name"), attribute.text_of("input_type")


def _tasks(owner: Node) -> dict[str, Task]:
    listed = owner.find("tasks")
    if listed is None:
        task = _task(owner)
        return {"": task, owner.text_of("id"): task}
    tasks = {node.text_of("id"): _task(node) for node in listed.all("task")}
    if len(tasks) == 1:
        tasks |= {"": next(iter(tasks.values()))}
    return tasks


def _task(node: Node) -> Task:
    words = dict(word.split("=", 1) for word in node.text_of("frame_filter").split() if "=" in word)
    size = node.find("original_size")
    return Task(
        node.text_of("subset"),
        _count(node.text_of("start_frame")) or 0,
        _count(node.text_of("stop_frame")),
        _count(words.get("step", "")) or 1,
        None if size is None else size_of(size.text_of("width"), size.text_of("height")),
    )


def _count(text: str) -> int | None:
    """A number of frames; None for anything that is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
