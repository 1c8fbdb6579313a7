"""Writing CVAT for images 1.1: one file per split, to look through and correct objects in CVAT.

CVAT takes annotations only for labels and attributes that a task already has, so `labels.json`
comes along: it is what the "Raw" tab of CVAT's label editor expects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from detect_tl.core.dataset import SPLITS, Dataset, Json, Sample
from detect_tl.core.files import atomic_path, write_json
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import Task
from detect_tl.formats import supercategories
from detect_tl.formats.cvat.write_object import (
    OBJECT_LOSSES,
    AttributeType,
    Objects,
)
from detect_tl.formats.supercategories import count_supercategories
from detect_tl.formats.xml import LINE_ENDS

LOSSES = {**OBJECT_LOSSES, "cvat-supercategories": supercategories.LOSS}


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write `cvat/<split>.xml` for images that lie at `folder/images/<split>/<name>`.

    Images are in the order of their names, as CVAT sorts them.
    """
    del task  # boxes and masks are both kept, whatever is trained
    count_supercategories(dataset, "cvat-supercategories", report)
    objects = Objects(dataset, report)
    for split in SPLITS:
        samples = sorted(dataset.in_split(split), key=lambda sample: sample.image.name)
        if samples:
            with (
                atomic_path(folder / "cvat" / f"{split}.xml") as path,
                path.open("w", encoding="utf-8", newline="\n") as stream,
            ):
                stream.writelines(f"{line}\n" for line in _document(objects, split, samples))
    write_json(folder / "cvat" / "labels.json", _labels(objects))


def _document(objects: Objects, split: str, samples: Sequence[Sample]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "  <version>1.1</version>"
    yield "  <meta>"
    yield "    <task>"
    yield f"      <id>1</id><name>{split}</name><size>{len(samples)}</size>"
    yield f"      <mode>annotation</mode><subset>{split}</subset>"
    yield f"      <start_frame>0</start_frame><stop_frame>{len(samples) - 1}</stop_frame>"
    yield "      <frame_filter></frame_filter>"
    yield "      <labels>"
    for category, name in enumerate(objects.names):
        yield f"        <label><name>{escape(name, LINE_ENDS)}</name><type>any</type><attributes>"
        yield from (f"          {_declaration(t)}" for t in objects.types_of(category))
        yield "        </attributes></label>"
    yield "      </labels>"
    yield "    </task>"
    yield "  </meta>"
    for number, sample in enumerate(samples):
        w, h = sample.size
        name = objects.quoted(sample.image.name)
        yield f'  <image id="{number}" name={name} subset="{split}" width="{w}" height="{h}">'
        yield from (f"    {line}" for line in objects.lines(sample))
        yield "  </image>"
    yield "</annotations>"


def _declaration(attribute: AttributeType) -> str:
    values = escape("\n".join(attribute.values), LINE_ENDS)
    return (
        f"<attribute><name>{escape(attribute.name, LINE_ENDS)}</name><mutable>False</mutable>"
        f"<input_type>{attribute.kind}</input_type>"
        f"<default_value>{attribute.values[0]}</default_value><values>{values}</values></attribute>"
    )


def _labels(objects: Objects) -> list[Json]:
    """The labels as CVAT's label editor takes them."""
    return [
        {
            "name": name,
            "attributes": [
                {
                    "name": attribute.name,
                    "input_type": attribute.kind,
                    "mutable": False,
                    "values": list(attribute.values),
                    "default_value": attribute.values[0],
                }
                for attribute in objects.types_of(category)
            ],
        }
        for category, name in enumerate(objects.names)
    ]
