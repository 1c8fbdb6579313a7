"""Writing Pascal VOC: one XML file per image, lists of the splits, and CVAT's labelmap.txt.

Coordinates keep their decimals. Rounding them would move a box by up to half a pixel on every
side, which is a tenth of an object of ten pixels; LabelImg, CVAT and Ultralytics read decimals.
An outline is written as Roboflow does it, as numbered corners beside the box; tools that do not
know it see the box.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from os.path import relpath
from pathlib import Path
from xml.sax.saxutils import escape

from detect_tl.core.dataset import SPLITS, Dataset, Instance, Json, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Ring, Size
from detect_tl.core.model_spec import Task
from detect_tl.formats import finite, supercategories
from detect_tl.formats.finite import finite_only
from detect_tl.formats.single_outline import outline_losses, single_outline
from detect_tl.formats.supercategories import count_supercategories
from detect_tl.formats.voc.palette import palette

FLAGS = ("difficult", "truncated", "occluded")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
CROWD = "iscrowd"

LOSSES = {
    **outline_losses("voc", "an object"),
    "voc-not-finite": finite.LOSS,
    "voc-supercategories": supercategories.LOSS,
    "voc-attribute-types": "values are written as text, without the spaces around them",
    "voc-characters": "control characters, which XML cannot hold, are written as U+FFFD",
}

# All that XML 1.0 allows, without the carriage return, which a parser turns into a line feed.
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write `voc/` for images that lie at `folder/images/<split>/<name>`.

    A file is called after its image; where images of several splits have the same name, it lies in
    a folder of its split. `<path>` leads from `voc/` to the image.
    """
    del task  # boxes and outlines are both kept, whatever is trained
    base = folder / "voc"
    count_supercategories(dataset, "voc-supercategories", report)
    stems = Counter(sample.image.stem for sample in dataset.samples)
    lists: dict[str, list[str]] = {}
    for sample in dataset.samples:
        split, stem = str(sample.split), sample.image.stem
        name = stem if stems[stem] == 1 else f"{split}/{stem}"
        lists.setdefault(split, []).append(name)
        path = base / "Annotations" / f"{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_document(sample, dataset.names, base, report), "utf-8")
    _write_lists(base / "ImageSets" / "Main", lists)
    (base / "labelmap.txt").write_text(_labelmap(dataset.names), "utf-8")


def _write_lists(folder: Path, lists: Mapping[str, Sequence[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        if split in lists:
            text = "".join(f"{name}\n" for name in lists[split])
            (folder / f"{split}.txt").write_bytes(text.encode("utf-8", "surrogateescape"))


def _labelmap(names: Sequence[str]) -> str:
    """The classes in their order, each with the colour that VOC gives to its number."""
    colours = palette()
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for number, name in enumerate(names, start=1):
        r, g, b = colours[number % len(colours)]
        lines.append(f"{name}:{r},{g},{b}::")
    return "".join(f"{line}\n" for line in lines)


def _document(sample: Sample, names: Sequence[str], base: Path, report: Report) -> str:
    place = Path(relpath(sample.image, base)).as_posix()
    w, h = sample.size
    lines = [
        "<annotation>",
        f"  <folder>{_text(place.rpartition('/')[0], report)}</folder>",
        f"  <filename>{_text(sample.image.name, report)}</filename>",
        f"  <path>{_text(place, report)}</path>",
        "  <source><database>Unknown</database></source>",
        # three, as every trainer decodes it
        f"  <size><width>{w}</width><height>{h}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    for item in finite_only(sample.instances, "voc-not-finite", report):
        lines += _object(item, names[item.category], sample.size, report)
    return "\n".join([*lines, "</annotation>", ""])


def _object(item: Instance, name: str, size: Size, report: Report) -> Iterator[str]:
    others = dict(item.attributes)
    pose = others.get("pose")
    if isinstance(pose, str) and pose.strip() not in ("", "Unspecified"):
        del others["pose"]
    else:
        pose = "Unspecified"
    yield "  <object>"
    yield f"    <name>{_text(name, report)}</name>"
    yield f"    <pose>{_text(pose, report)}</pose>"
    for flag in FLAGS:
        is_set = others.get(flag) is True
        if is_set:
            del others[flag]
        yield f"    <{flag}>{int(is_set)}</{flag}>"
    yield f"    {_bndbox(item.box)}"
    if item.mask is not None:
        outline = single_outline(item.mask, size, "voc", report)
        if outline is not None:
            yield f"    {_polygon(outline)}"
    if item.iscrowd:
        others[CROWD] = "1"
    if others:
        yield "    <attributes>"
        yield from (f"      {_attribute(k, v, report)}" for k, v in others.items())
        yield "    </attributes>"
    yield "  </object>"


def _bndbox(box: Box) -> str:
    corners = zip(CORNERS, box, strict=True)
    return f"<bndbox>{''.join(f'<{t}>{_number(v)}</{t}>' for t, v in corners)}</bndbox>"


def _polygon(outline: Ring) -> str:
    corners = enumerate(outline.tolist(), start=1)
    text = "".join(f"<x{k}>{_number(x)}</x{k}><y{k}>{_number(y)}</y{k}>" for k, (x, y) in corners)
    return f"<polygon>{text}</polygon>"


def _attribute(name: str, value: Json, report: Report) -> str:
    if not isinstance(value, str) or (name, value) != (name.strip(), value.strip()):
        report.lost["voc-attribute-types"] += 1
    inside = f"<name>{_text(name, report)}</name><value>{_text(as_text(value), report)}</value>"
    return f"<attribute>{inside}</attribute>"


def as_text(value: Json) -> str:
    """The text under which a value is written: JSON, but for what is text already."""
    import orjson

    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _text(text: str, report: Report) -> str:
    plain, replaced = _NOT_XML.subn("\ufffd", text)
    if replaced:
        report.lost["voc-characters"] += 1
    return escape(plain)
