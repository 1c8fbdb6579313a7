"""What every writer writes reads back equal, save what the writer declares lost."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.core.dataset import NO_ATTRIBUTES, Dataset, Instance, Json, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Mask, PolygonMask, Size, bitmap_to_rle, mask_box
from detect_tl.core.masks import draw_mask
from detect_tl.core.model_spec import TASKS, Task
from detect_tl.formats.base import Format, load_formats
from detect_tl.formats.source import Source
from detect_tl.formats.voc.write import FLAGS, as_text
from tests.formats.worlds import SIZES, World, worlds

WRITERS = [item for item in load_formats() if item.write is not None]
LARGEST = Size(*map(max, zip(*SIZES, strict=True)))
Expectation = Callable[[Instance, Task], Instance | None]


def whole(item: Instance, task: Task) -> Instance | None:
    del task
    return item


def from_yolo(item: Instance, task: Task) -> Instance | None:
    if item.iscrowd:
        return None
    plain = replace(item, attributes=NO_ATTRIBUTES)
    if task == "detect":
        return replace(plain, mask=None)
    if plain.mask is None:
        return replace(plain, mask=PolygonMask(()))  # any outline, as long as the box is right
    return replace(plain, box=mask_box(plain.mask))


def from_voc(item: Instance, task: Task) -> Instance | None:
    del task
    flags = {k: v for k, v in item.attributes.items() if k in FLAGS and v is True}
    texts = {k: as_text(v) for k, v in item.attributes.items() if k not in flags}
    return replace(item, attributes={**flags, **{k.strip(): v.strip() for k, v in texts.items()}})


class OrItsText:
    """Equal to a value, and to its text: the types of an attribute hang on all of its values."""

    def __init__(self, value: Json) -> None:
        self._allowed = (value, value if isinstance(value, str) else json.dumps(value))

    def __eq__(self, other: object) -> bool:
        return other in self._allowed

    __hash__ = None  # type: ignore[assignment]  # equal to two values that differ


def from_cvat(item: Instance, task: Task) -> Instance | None:
    attributes = {k: OrItsText(v) for k, v in item.attributes.items() if k != "is_crowd"}
    # of a hole, the pixels are kept, as LabelMe keeps them
    return replace(from_labelme(item, task) or item, attributes=attributes)


def from_labelme(item: Instance, task: Task) -> Instance | None:
    del task
    if item.mask is None:
        return item
    holed = isinstance(item.mask, PolygonMask) and item.mask.holes
    drawn = bitmap_to_rle(draw_mask(item.mask, LARGEST)) if holed else item.mask
    return replace(item, box=mask_box(drawn))


def from_label_studio(item: Instance, task: Task) -> Instance | None:
    if isinstance(item.mask, PolygonMask) and len(item.mask.parts) > 1:
        # several parts become the bitmap that they fill, as a part with holes does
        return replace(item, box=mask_box(bitmap_to_rle(draw_mask(item.mask, LARGEST))))
    return from_labelme(item, task)


# What is left of an object after a format; a new writer has to say so here.
EXPECTED: Mapping[str, Expectation] = {
    "coco": whole,
    "cvat": from_cvat,
    "label-studio": from_label_studio,
    "labelme": from_labelme,
    "voc": from_voc,
    "webdataset": whole,
    "yolo": from_yolo,
}

# Names that mean something else in one format or another.
RESERVED = [
    ["_background_"],
    ["__ignore__"],
    ["__ignore__", "_background_", "cat"],
    ["cat", "__ignore__", "_background_"],
    ["DontCare", "background"],
]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("writer", WRITERS, ids=lambda item: item.name)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_written_reads_back(writer: Format, task: Task, data: st.DataObject) -> None:
    world = data.draw(worlds(masked=task == "segment"))
    with tempfile.TemporaryDirectory() as scratch:
        written, back, report = round_trip(writer, world, Path(scratch), task)
    assert back.names == written.names
    assert [(s.image, s.size, s.split) for s in ordered(back)] == [
        (s.image, s.size, s.split) for s in ordered(written)
    ]
    expected = EXPECTED[writer.name]
    for before, after in zip(ordered(written), ordered(back), strict=True):
        wanted = [e for item in before.instances if (e := expected(item, task)) is not None]
        assert len(after.instances) == len(wanted)
        for a, b in zip(wanted, after.instances, strict=True):
            assert_same(a, b, before.size)
    assert set(report.lost) <= set(writer.losses)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda item: item.name)
@pytest.mark.parametrize("names", RESERVED, ids=" ".join)
def test_reserved_words_may_name_classes(writer: Format, names: list[str], tmp_path: Path) -> None:
    world = World(names, [("train", "a.jpg", SIZES[0], ())])
    written, back, _ = round_trip(writer, world, tmp_path, "detect")
    assert back.names == written.names == names


def round_trip(
    writer: Format, world: World, folder: Path, task: Task
) -> tuple[Dataset, Dataset, Report]:
    assert writer.write is not None
    written = world.put(folder)
    report, reading = Report(), Report()
    writer.write(written, folder, report, task)
    source = Source(folder)
    assert writer.sniff(source).matches
    back = writer.read(source, reading)
    assert not list(reading.of("error"))
    return written, back, report


def ordered(dataset: Dataset) -> list[Sample]:
    """Samples by split and name; a format may read them in the order of its own files."""
    return sorted(dataset.samples, key=lambda s: str(s.split) + "/" + s.image.name)


def assert_same(a: Instance, b: Instance, size: Size) -> None:
    assert (a.category, a.iscrowd) == (b.category, b.iscrowd)
    assert dict(a.attributes) == dict(b.attributes)
    # parts that overlap are merged by the pixel, which blunts their tips
    several = isinstance(a.mask, PolygonMask) and len(a.mask.parts) > 1
    assert tuple(b.box) == pytest.approx(tuple(a.box), abs=3 if several else 1e-3)
    assert (a.mask is None) == (b.mask is None)
    if a.mask is not None and b.mask is not None and a.mask != PolygonMask(()):
        assert overlap(a.mask, b.mask, size) >= 0.99


def overlap(a: Mask, b: Mask, size: Size) -> float:
    """Intersection over union of the pixels that two masks fill."""
    one, two = draw_mask(a, size), draw_mask(b, size)
    return float((one & two).sum()) / float((one | two).sum())


def test_every_writer_has_an_expectation() -> None:
    assert set(EXPECTED) == {item.name for item in WRITERS}
