"""What the writer gives to Label Studio; that it reads back equal is a law in test_laws.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Mask, PolygonMask, Size, bitmap_to_rle, mask_box
from detect_tl.formats.label_studio.write import LOSSES, write
from tests.formats.makers import image
from tests.formats.test_label_studio_rle import unpacked

SIZE = Size(100, 80)
SQUARE = np.asarray([[10.0, 10], [40, 10], [40, 40], [10, 40]])
HOLE = np.asarray([[20.0, 20], [30, 20], [30, 30], [20, 30]])
FAR = SQUARE + np.asarray([45.0, 0])


def masked(mask: Mask, **more: Any) -> Instance:
    return Instance(0, mask_box(mask), mask, **more)


def written(folder: Path, *items: Instance, name: str = "a.jpg") -> tuple[Any, Report]:
    """The one task of the file, and what got lost."""
    path = image(folder / f"images/train/{name}", SIZE)
    dataset = Dataset(
        (Category("cat"), Category('"a" & <b>')), (Sample(path, SIZE, items, "train"),)
    )
    report = Report()
    write(dataset, folder, report, "segment")
    assert set(report.lost) <= set(LOSSES)
    (task,) = read_json(folder / "label-studio/train.json")
    return task, report


def test_a_box(tmp_path: Path) -> None:
    item = Instance(1, Box(10, 16, 40, 48), attributes={"score": 0.75, "wet": True})
    task, report = written(tmp_path, item)
    (region,) = task["annotations"][0]["result"]
    assert region["type"] == "rectanglelabels"
    assert region["value"].pop("rectanglelabels") == ['"a" & <b>']
    assert region["value"] == {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    assert (region["original_width"], region["original_height"]) == SIZE
    assert region["score"] == 0.75  # where the tool shows it
    assert region["meta"] == {"attributes": {"wet": True}}
    assert not report.lost


def test_an_outline(tmp_path: Path) -> None:
    task, report = written(tmp_path, masked(PolygonMask((SQUARE,))))
    (region,) = task["annotations"][0]["result"]
    assert region["value"]["points"] == [[10, 12.5], [40, 12.5], [40, 50], [10, 50]]
    assert not report.lost


@pytest.mark.parametrize(
    "mask", [PolygonMask((SQUARE,), (HOLE,)), PolygonMask((SQUARE, FAR))], ids=["hole", "parts"]
)
def test_an_outline_of_several_rings_is_painted(tmp_path: Path, mask: PolygonMask) -> None:
    task, report = written(tmp_path, masked(mask))
    (region,) = task["annotations"][0]["result"]
    painted = np.asarray(unpacked(region["value"]["rle"])).reshape(80, 100, 4)[..., 3] > 0
    assert painted.sum() == 30 * 30 + (-10 * 10 if mask.holes else 30 * 30)
    assert report.lost == {"label-studio-outlines": 1}


def test_what_cannot_be_kept_is_counted(tmp_path: Path) -> None:
    flat = PolygonMask((SQUARE[:2],))
    nothing = bitmap_to_rle(np.zeros((80, 100), np.uint8))
    box = Box(1, 2, 3, 4)
    of_another = bitmap_to_rle(np.ones((8, 10), np.uint8))
    drawn = PolygonMask((FAR,))
    items = (Instance(0, box, mask) for mask in (flat, nothing, of_another, drawn))
    task, report = written(tmp_path, *items)
    kinds = [region["type"] for region in task["annotations"][0]["result"]]
    assert kinds == ["rectanglelabels"] * 3 + ["polygonlabels"]
    assert report.lost == {"label-studio-empty-outlines": 3, "label-studio-boxes": 1}


def test_coordinates_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    task, report = written(tmp_path, Instance(0, Box(1, 2, float("nan"), 4)))
    assert task["annotations"][0]["result"] == []
    assert report.lost == {"label-studio-not-finite": 1}


def test_an_image_without_objects_is_annotated_as_such(tmp_path: Path) -> None:
    task, _ = written(tmp_path)
    assert [a["result"] for a in task["annotations"]] == [[]]


@pytest.mark.parametrize("name", ["a b.jpg", "50%25 + #1&d=x?.jpg", "-ä.jpg"])
def test_the_local_storage_finds_the_image(tmp_path: Path, name: str) -> None:
    task, _ = written(tmp_path, name=name)
    address = urlsplit(task["data"]["image"])
    assert address.path == "/data/local-files/"
    assert (tmp_path / parse_qs(address.query)["d"][0]).is_file()


def test_the_interface_has_a_control_for_every_shape(tmp_path: Path) -> None:
    mask = PolygonMask((SQUARE,))
    items = masked(mask), masked(PolygonMask((SQUARE,), (HOLE,))), Instance(1, Box(1, 2, 3, 4))
    task, _ = written(tmp_path, *items)
    view = ElementTree.parse(tmp_path / "label-studio/config.xml").getroot()
    controls = {control.get("name"): control for control in view if control.get("toName")}
    for region in task["annotations"][0]["result"]:
        control = controls[region["from_name"]]
        assert control.tag.lower() == region["type"]
        assert control.get("toName") == region["to_name"]
        labels = [label.get("value") for label in control]
        assert labels == ["cat", '"a" & <b>']
        assert region["value"][region["type"]][0] in labels
