"""What `convert` must not lose, wherever the images lie and whatever they are called.

The raw data set is COCO, which can say all that the model holds; images lie in sub-folders, some
with the same stem, with very long names, spaces, dashes in front and letters of all alphabets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from detect_tl.core.dataset import Dataset, Instance
from detect_tl.core.geometry import PolygonMask, RleMask, bitmap_to_rle
from detect_tl.core.masks import draw_mask
from detect_tl.curate.convert import convert
from detect_tl.formats.detect import read_dataset
from tests.formats.makers import document, image
from tests.formats.test_laws import assert_same
from tests.formats.worlds import SIZES, file_stems, instances

SIZE = SIZES[0]
FOLDERS = ["", "a/", "a/b/", "images/", "-x/", "with space/", "é/"]
ENDINGS = [".jpg", ".png", ".JPG", ".jpeg"]

Placed = list[tuple[str, tuple[Instance, ...]]]


long_stems = st.sampled_from(["x" * 250, "\N{SNOWMAN}" * 83, "a" * 199, "con", "a.b.c"])


@st.composite
def layouts(draw: st.DrawFn) -> Placed:
    """Paths below a folder, few stems for many places, with objects that have masks."""
    stems = draw(st.lists(file_stems | long_stems, min_size=1, max_size=2))
    place = st.tuples(*map(st.sampled_from, (("train", "val"), FOLDERS, stems, ENDINGS)))
    places = draw(st.sets(place, min_size=1, max_size=4))
    drawn = {f"{split}/{folder}{stem}{end}" for split, folder, stem, end in places}
    item = instances(SIZE, 2, masked=True)
    names = sorted({"train/0.png", "val/0.png"} | drawn)
    return [(name, tuple(draw(st.lists(item, max_size=2)))) for name in names]


def raw(root: Path, layout: Placed) -> None:
    """Write the images, each of a colour of its own, and one COCO file."""
    records = []
    for number, (name, items) in enumerate(layout, start=1):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = "PNG" if path.suffix == ".png" else "JPEG"
        Image.new("RGB", SIZE, (40 * number, 0, 0)).save(path, format=kind)
        records += [as_coco(item, number) for item in items]
    images = [
        {"id": k, "file_name": name, "width": SIZE.width, "height": SIZE.height}
        for k, (name, _) in enumerate(layout, start=1)
    ]
    annotations = [{**record, "id": k} for k, record in enumerate(records, start=1)]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    value = {"images": images, "annotations": annotations, "categories": categories}
    document(root / "annotations.json", value)


def as_coco(item: Instance, image_id: int) -> dict[str, Any]:
    mask, x1, y1 = item.mask, item.box.x1, item.box.y1
    assert mask is not None
    if isinstance(mask, PolygonMask) and mask.holes:
        mask = bitmap_to_rle(draw_mask(mask, SIZE))
    outlines = mask.parts if isinstance(mask, PolygonMask) else ()
    runs = {"counts": list(mask.counts), "size": SIZE[::-1]} if isinstance(mask, RleMask) else None
    return {
        "image_id": image_id,
        "category_id": item.category + 1,
        "bbox": [x1, y1, item.box.x2 - x1, item.box.y2 - y1],
        "segmentation": runs or [ring.reshape(-1).tolist() for ring in outlines],
        "iscrowd": int(item.iscrowd),
        "attributes": dict(item.attributes),
    }


def by_colour(dataset: Dataset) -> dict[int, Sequence[Instance]]:
    """The objects of every image, by the number that its colour tells."""
    found = {}
    for sample in dataset.samples:
        with Image.open(sample.image) as picture:
            red = np.asarray(picture.convert("RGB"))[:, :, 0].mean()
        found[round(red / 40)] = sample.instances
    return found


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(layout=layouts())
def test_no_image_and_no_object_is_lost_or_swapped(layout: Placed) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "source"), Path(scratch, "target")
        raw(source, layout)
        convert(source, target, to=("yolo", "coco"), link="hard")
        back = read_dataset(target)
        assert back.format == "prepared"
        found = by_colour(back.dataset)
        assert sorted(found) == list(range(1, len(layout) + 1))
        for number, (_, items) in enumerate(layout, start=1):
            assert len(found[number]) == len(items)
            for before, after in zip(items, found[number], strict=True):
                assert_same(before, after, SIZE)
        labels = sorted(p.stem for p in (target / "labels").rglob("*.txt"))
        assert labels == sorted(p.stem for p in (target / "images").rglob("*.*"))


def test_names_that_leave_no_room_are_cut_and_said(tmp_path: Path) -> None:
    name = "\N{SNOWMAN}" * 83
    image(tmp_path / f"in/{name}.jpg", SIZE)
    image(tmp_path / f"in/sub/{name}.jpg", SIZE[::-1])
    layout: Placed = [(f"{name}.jpg", ()), (f"sub/{name}.jpg", ())]
    raw(tmp_path / "in", layout)
    result = convert(tmp_path / "in", tmp_path / "out", to=("yolo", "coco", "voc", "labelme"))
    assert result.report.changed["images-renamed"] == 2
    assert len(result.dataset) == 2
