"""From the elements of CVAT to objects: labels, attributes, groups, and what is no object."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Instance, Json
from detect_tl.core.findings import Report, Severity
from detect_tl.core.geometry import PolygonMask, Size
from detect_tl.formats.cvat.meta import Meta
from detect_tl.formats.cvat.nodes import Node
from detect_tl.formats.cvat.shapes import WITH_AREA, Outline, Shape, read_shape
from detect_tl.formats.gather import extent_of
from detect_tl.formats.records import UNREADABLE, or_none, why

# The name under which CVAT itself marks crowds when it writes COCO.
CROWD = "is_crowd"
# Shapes drawn by hand; whatever else drew one is worth an attribute.
ORDINARY_SOURCE = "manual"
_NUMBER = re.compile(r"[-+]?\d{1,300}(\.\d*)?([eE][-+]?\d{1,3})?", re.ASCII)
_WITHOUT_AREA = frozenset({"points", "polyline", "cuboid", "skeleton", "tag"})


@dataclass(frozen=True, slots=True)
class Found:
    """One shape with its label. group: the `group_id` that it shares with others; "" for none."""

    category: int
    shape: Shape
    attributes: Mapping[str, Json]
    iscrowd: bool = False
    group: str = ""

    def instance(self) -> Instance:
        box, mask = self.shape.drawn()
        return Instance(self.category, box, mask, self.iscrowd, or_none(self.attributes))


class ObjectReader:
    """Reads the shapes of one file, and counts what cannot be an object."""

    def __init__(self, path: Path, meta: Meta, index: CategoryIndex, report: Report) -> None:
        self.path = path
        self.meta = meta
        self.report = report
        self._index = index
        self._undeclared: set[str] = set()

    def read(
        self, node: Node, size: Size | None, owner: Mapping[str, str], more: Mapping[str, Json]
    ) -> Found | None:
        """The object of an element; None, and a finding, when it is none.

        owner: the XML attributes that give its label and its group, those of its track or its own.
        more: attributes of the object that no element gives.
        """
        if node.tag in _WITHOUT_AREA:
            self.report.lost[f"shapes-{node.tag}"] += 1
            self.say("no-area", "warning", f"<{node.tag}> has no area; it is left out", node)
            return None
        try:
            if node.tag not in WITH_AREA:
                raise ValueError(f"<{node.tag}> is no shape that CVAT is known to write")
            label = owner.get("label", "")
            if not label.strip():
                raise ValueError("it has no label")
            shape = read_shape(node, size)
        except UNREADABLE as error:
            self.report.lost["objects-unreadable"] += 1
            self.say("bad-shape", "error", f"the {node.tag} is lost: {why(error)}", node)
            return None
        self._expect(label, node)
        attributes = {**_flags(node), **dict(self._attributes(node, label)), **more}
        crowd = str(attributes.pop(CROWD, "")).lower() in ("true", "1")
        group = owner.get("group_id", "").strip()
        return Found(
            self._index.add(label), shape, attributes, crowd, "" if group == "0" else group
        )

    def say(self, code: str, severity: Severity, text: str, node: Node) -> None:
        self.report.add(f"cvat.{code}", severity, text, self.path, node.line)

    def _expect(self, label: str, node: Node) -> None:
        """Say once when the file uses a label that it does not declare."""
        if self.meta.known and label not in self.meta.known | self._undeclared:
            self._undeclared.add(label)
            text = f"the label {label!r} is not among those that the file declares"
            self.say("undeclared-label", "warning", text, node)

    def _attributes(self, node: Node, label: str) -> Iterator[tuple[str, Json]]:
        for attribute in node.all("attribute"):
            name = attribute.attributes.get("name", "")
            yield name, _value(attribute.text, self.meta.types.get((label, name), ""))


def _flags(node: Node) -> dict[str, Json]:
    """The XML attributes of a shape that say something out of the ordinary."""
    values = node.attributes
    found: dict[str, Json] = {}
    if values.get("occluded") == "1":
        found["occluded"] = True
    if values.get("z_order", "0") != "0":
        found["z_order"] = _value(values["z_order"], "number")
    return found | source_of(values)


def source_of(values: Mapping[str, str]) -> dict[str, Json]:
    """What drew a shape or a track, unless it was a person."""
    source = values.get("source", ORDINARY_SOURCE)
    return {} if source == ORDINARY_SOURCE else {"source": source}


def _value(text: str, kind: str) -> Json:
    """An attribute by the type that the file declares; the text itself when it is of another."""
    if kind == "checkbox" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "number" and _NUMBER.fullmatch(text):
        found = float(text) if "." in text or "e" in text.lower() else int(text)
        return found if math.isfinite(found) else text
    return text


def join(items: Sequence[Found], report: Report) -> list[Instance]:
    """One instance per shape, or per group of outlines that agree in all but their place.

    CVAT has no outline of several parts; when it writes COCO, it makes one object of a group.
    """
    if not any(item.group for item in items):
        return [item.instance() for item in items]
    whole: dict[object, list[Found]] = {}
    for place, item in enumerate(items):
        joins = item.group and isinstance(item.shape, Outline)
        alike = (item.category, item.group, item.iscrowd, _frozen(item.attributes))
        whole.setdefault(alike if joins else place, []).append(item)
    # A group that only held one object together has done its duty; any other is kept.
    shared = Counter(members[0].group for members in whole.values())
    return [_instance(members, shared[members[0].group] > 1, report) for members in whole.values()]


def _frozen(attributes: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(f"{name}={value!r}" for name, value in attributes.items())


def _instance(members: Sequence[Found], shared: bool, report: Report) -> Instance:
    item = members[0].instance()
    if len(members) > 1:
        report.changed["outlines-joined-by-group"] += len(members)
        boxes, masks = zip(*(member.shape.drawn() for member in members), strict=True)
        parts = tuple(part for m in masks if isinstance(m, PolygonMask) for part in m.parts)
        item = replace(item, box=extent_of(boxes) or item.box, mask=PolygonMask(parts))
    group = members[0].group
    if group and (shared or len(members) == 1):
        number = _value(group, "number")
        item = replace(item, attributes={"group_id": number, **item.attributes})
    return item
