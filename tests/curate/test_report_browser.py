"""The page in a real browser, at the width of a phone and of a desk, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detect_tl.augment.find import find_augmentation
from detect_tl.augment.preview import make_preview
from detect_tl.augment.preview_file import write_preview
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Size, bitmap_to_rle, box_ring
from detect_tl.curate.report import Page, write_report
from tests.browser import Tab, browser
from tests.formats.makers import image

PHONE, DESK = 375, 1100
SIZE = Size(640, 480)
LONG = "an-extremely-long-name-without-any-place-to-break-" * 3


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def dataset(folder: Path) -> Dataset:
    """All that makes a page wide: long names, many classes, many objects, odd places."""
    folder.mkdir()
    ring = box_ring(Box(30, 40, 200, 220))
    bitmap = np.zeros((480, 640), np.uint8)
    bitmap[300:400, 50:300] = 1
    items = (
        Instance(0, Box(30, 40, 200, 220), PolygonMask((ring,), (ring / 4 + 60,))),
        Instance(1, Box(50, 300, 300, 400), bitmap_to_rle(bitmap), iscrowd=True),
        Instance(2, Box(500, 100, 900, 200)),
        Instance(3, Box(float("nan"), 1, 2, float("inf"))),
    )
    names = [f"{LONG}-{k}" if k == 1 else f"class <{k}> & co" for k in range(40)]
    samples = tuple(
        Sample(image(folder / f"{LONG}{k}.jpg", tuple(SIZE)), SIZE, items, split)
        for k, split in enumerate(("train", "train", "val", "test"))
    )
    return Dataset(tuple(map(Category, names)), samples)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    made = dataset(folder / "images")
    places = [
        Box(30, 40, 200, 220),  # of an object
        Box(600, 400, 900, 700),  # leaves the image
        Box(5000, 5000, 6000, 6000),  # far outside
        Box(100, 100, 100, 160),  # no area
        Box(300, 200, 200, 100),  # inverted
        Box(float("nan"), 0, 1, 1),
        None,
    ]
    report = Report()
    report.read["annotation-files"] = 4
    for k, box in enumerate(places * 30):
        photo = made.samples[k % 4].image
        report.add("box.odd", "error", f"{LONG} {k}", photo, k + 1, image=photo, box=box)
    report.add("image.missing", "warning", "gone", folder / "gone.jpg")
    report.add("class.unused", "info", f"{LONG} has no object")
    said = Page("A <set>", "segment", "coco", "because; not VOC", "seeded", "0", report)
    write_report(folder / "report.html", made, said)
    return folder / "report.html"


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preview")
    made = dataset(folder / "images")
    usable = [replace(s, instances=tuple(s.instances)[:3]) for s in made.samples]
    shown = replace(made, samples=tuple(usable))
    write_preview(folder / "a.html", make_preview(shown, find_augmentation("heavy"), count=2))
    return folder / "a.html"


@pytest.fixture(params=["page", "preview"])
def shown(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_opens_from_disk_asks_for_nothing_and_fits(tab: Tab, shown: Path, width: int) -> None:
    tab.show(shown, width)
    unfold = "document.querySelectorAll('details').forEach(d => d.open = true)"
    tab.value(unfold)
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert tab.value("window.innerWidth") == width
    assert tab.requests == []
    assert tab.complaints == []


def test_all_pictures_can_be_decoded(tab: Tab, shown: Path) -> None:
    tab.show(shown, PHONE)
    decoded = tab.value(
        """Promise.all([...document.querySelectorAll('image')].map(async (shape) => {
             const photo = new Image();
             photo.src = shape.getAttribute('href');
             await photo.decode();
             return photo.naturalWidth;
           }))"""
    )
    assert len(decoded) >= 8
    assert min(decoded) > 0
    drawn = tab.value(
        "[...document.querySelectorAll('image')].every(i => i.getBoundingClientRect().width > 0"
        " || i.closest('details:not([open])'))"
    )
    assert drawn


def test_the_object_of_a_finding_is_in_its_picture(tab: Tab, page: Path) -> None:
    """What is drawn for a finding lies within the view, also where the box leaves the image."""
    tab.show(page, DESK)
    inside = tab.value(
        """[...document.querySelectorAll('.proof svg')].map((svg) => {
             const view = svg.getBoundingClientRect();
             return [...svg.querySelectorAll('rect, ellipse')].every((mark) => {
               const box = mark.getBoundingClientRect();
               return box.right > view.left && box.left < view.right
                 && box.bottom > view.top && box.top < view.bottom;
             });
           })"""
    )
    assert inside == [True] * 6


def test_colours_follow_the_reader(tab: Tab, shown: Path) -> None:
    backs = []
    for dark in (False, True):
        tab.show(shown, PHONE, dark=dark)
        backs.append(tab.value("getComputedStyle(document.body).backgroundColor"))
    light, night = (sum(map(int, b[4:-1].split(","))) for b in backs)
    assert light > 600
    assert night < 150


def test_a_finding_about_nothing_that_can_be_seen_has_words(tab: Tab, page: Path) -> None:
    tab.show(page, PHONE)
    text = tab.value("document.body.textContent")
    assert "gone" in text
    assert f"{LONG} has no object" in text
    assert "6 pictures, and 204 more in words" in " ".join(text.split())
    assert tab.value("document.title").startswith("A <set>")
