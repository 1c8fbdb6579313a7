"""The labelling interface of a project of Label Studio, which declares its labels."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.formats.source import Source
from detect_tl.formats.xml import LINE_ENDS, read_xml

# Names of the controls that our own writer uses; a region says by which one it was drawn.
RECTANGLES, POLYGONS, BRUSHES, IMAGE = "box", "outline", "brush", "image"

_VIEW = re.compile(rb"<View\b")
_CONTROL = re.compile(rb"<\w+Labels\b|<Labels\b")
# What is drawn by other controls has no area.
_AREAS = frozenset(
    {"Labels", "RectangleLabels", "PolygonLabels", "BrushLabels", "EllipseLabels", "BitmaskLabels"}
)


def find_configs(source: Source) -> list[Path]:
    return [p for p in source.files if p.suffix.lower() == ".xml" and _is_config(source.peek(p))]


def _is_config(ends: bytes) -> bool:
    return bool(_VIEW.search(ends) and _CONTROL.search(ends))


def declared_labels(configs: Sequence[Path], report: Report) -> list[list[str]]:
    """The labels of each interface, in the order of their declaration."""
    found = []
    for path in configs:
        try:
            found.append(list(dict.fromkeys(_labels(path))))
        except DataError as error:
            text = f"the order of the labels is not known: {error.message}"
            report.add("label-studio.bad-config", "warning", text, path, error.line)
    return found


def _labels(path: Path) -> Iterator[str]:
    for control in read_xml(path).iter():
        if control.tag in _AREAS:
            for label in control.iter("Label"):
                name = label.get("value", "").strip()
                if name:
                    yield name


def interface(names: Sequence[str]) -> str:
    """An interface with boxes, outlines and brushes of these labels."""
    controls = (
        ("RectangleLabels", RECTANGLES),
        ("PolygonLabels", POLYGONS),
        ("BrushLabels", BRUSHES),
    )
    lines = ["<View>", f'  <Image name="{IMAGE}" value="$image" zoom="true"/>']
    for tag, name in controls:
        lines.append(f'  <{tag} name="{name}" toName="{IMAGE}">')
        lines += (f"    {_label(label, k / len(names))}" for k, label in enumerate(names))
        lines.append(f"  </{tag}>")
    return "\n".join([*lines, "</View>", ""])


def _label(name: str, hue: float) -> str:
    red, green, blue = (round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.8, 0.9))
    colour = f"#{red:02x}{green:02x}{blue:02x}"
    return f'<Label value={quoteattr(name, LINE_ENDS)} background="{colour}"/>'
