"""A preview shows originals and views; as a picture, as a page, and from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from detect_tl import api
from detect_tl.augment.find import find_augmentation
from detect_tl.augment.preview import make_preview
from detect_tl.augment.preview_file import write_preview
from detect_tl.cli.app import app
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.geometry import Box, PolygonMask, Size, box_ring
from tests.cli.conftest import voc_folder
from tests.formats.makers import image


def dataset(folder: Path) -> Dataset:
    box = Box(100, 200, 700, 500)
    items = (Instance(0, box, PolygonMask((box_ring(box),))), Instance(1, Box(900, 50, 1200, 300)))
    size = Size(1280, 960)
    samples = [Sample(image(folder / f"{k}.jpg", tuple(size)), size, items) for k in range(3)]
    gone = Sample(folder / "gone.jpg", size, items)
    return Dataset((Category("née <b>"), Category("dog")), (gone, *samples))


def test_pictures_are_those_that_training_would_see(tmp_path: Path) -> None:
    made = make_preview(dataset(tmp_path), find_augmentation("none"), count=4, views=2, imgsz=320)
    assert [row.name for row in made.rows] == ["0.jpg", "1.jpg", "2.jpg"]
    for row in made.rows:
        assert len(row.views) == 2
        assert row.original.image.shape == (240, 320, 3)
        assert row.original.instances[0].box == Box(25, 50, 175, 125)
        assert row.original.instances[1].box == pytest.approx(Box(225, 12.5, 300, 75), abs=0.01)
        assert (row.views[0].image == row.original.image).all()


def test_the_seed_decides(tmp_path: Path) -> None:
    heavy = find_augmentation("heavy")
    one, same, other = (
        make_preview(dataset(tmp_path), heavy, count=2, imgsz=160, seed=seed) for seed in (3, 3, 4)
    )
    views = [[v.image.tobytes() for row in p.rows for v in row.views] for p in (one, same, other)]
    assert views[0] == views[1] != views[2]
    assert len(set(views[0])) > 4


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_sheet_has_a_row_for_each_picture(tmp_path: Path, suffix: str) -> None:
    made = make_preview(dataset(tmp_path), find_augmentation("light"), count=2, views=3, imgsz=160)
    write_preview(tmp_path / f"sheet.{suffix}", made)
    sheet = cv2.imread(str(tmp_path / f"sheet.{suffix}"))
    assert sheet.shape[1] == 4 * 370 + 10
    assert sheet.shape[0] > 2 * 270
    colour = np.abs(sheet.astype(int) - (0x6B, 0x3B, 0xFF)).sum(axis=2)  # of the first class
    assert (colour < 60).sum() > 500


def test_a_page_holds_the_pictures_and_the_file(tmp_path: Path) -> None:
    made = make_preview(dataset(tmp_path), find_augmentation("light"), count=2, views=3, imgsz=160)
    write_preview(tmp_path / "page.html", made)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 2 * 4
    assert page.count("<path") == 2 * 4 * 2
    assert "née &lt;b&gt;" in page
    assert "<b>" not in page
    assert "HueSaturationValue" in page


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither by its name"):
        api.augment_preview(tmp_path, out=tmp_path / "a.pdf")
    with pytest.raises(UsageError, match="unknown augmentation"):
        api.augment_preview(tmp_path, augment="nothing", out=tmp_path / "a.png")
    with pytest.raises(DataError, match="no picture with objects"):
        make_preview(Dataset((), ()), find_augmentation("light"))


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_on_the_command_line(tmp_path: Path) -> None:
    pictures, out = voc_folder(tmp_path / "p"), tmp_path / "out.png"
    command = ("augment", "preview", pictures, "--count", 2, "--views", 3, "--out", out, "--json")
    said = json.loads(run(*command))
    assert out.is_file()
    assert said["objects"] + said["dropped"] == said["pictures"] * said["views"] == 6
    assert said["augmentation"]["name"] == "default"
    file = tmp_path / "mine.yaml"
    file.write_text(run("augment", "show", "aerial"))
    assert run("augment", "show", file) == file.read_text()
    listed = json.loads(run("augment", "list", "--json"))["augmentations"]
    assert {"aerial", "none", "low-light"} <= {item["name"] for item in listed}


def test_real_pictures(shared: Path, tmp_path: Path) -> None:
    """RLE crowds, several parts, 4000-pixel photos: whatever is there can be augmented."""
    for name in ("coco_coco128_0hye", "coco_fruitnuts", "voc_bccd"):
        made = api.augment_preview(
            shared / "data" / name, augment="heavy", count=3, views=2, out=tmp_path / "a.png"
        )
        assert made.pictures == 3
        assert made.objects > 20
