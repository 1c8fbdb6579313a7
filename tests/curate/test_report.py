"""The page that a conversion leaves behind."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Size, bitmap_to_rle, box_ring
from detect_tl.core.pages import choose_pictures
from detect_tl.curate.report import Page, write_report
from tests.formats.makers import image

NASTY = "<script>alert('x')</script> & \"co\""
SIZE = Size(640, 480)


class Reader(HTMLParser):
    """Collects what a browser would see, and fails on tags that do not close."""

    VOID = frozenset({"meta", "image", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data.strip())


def dataset(folder: Path) -> Dataset:
    mask = np.zeros((480, 640), np.uint8)
    mask[10:200, 20:90] = 1
    items = (
        Instance(0, Box(20, 10, 90, 200), bitmap_to_rle(mask)),
        Instance(1, Box(300, 100, 500, 400), PolygonMask((box_ring(Box(300, 100, 500, 400)),))),
        Instance(0, Box(600, 5, 640, 50), iscrowd=True),
    )
    path = image(folder / "a <b>.jpg", tuple(SIZE))
    samples = (
        Sample(path, SIZE, items, "train"),
        Sample(image(folder / "b.jpg", tuple(SIZE)), SIZE, (), "val"),
        Sample(folder / "gone.jpg", SIZE, items, "val"),
    )
    return Dataset((Category(NASTY), Category("dog")), samples)


@pytest.fixture
def page(tmp_path: Path) -> str:
    report = Report()
    report.read["annotation-files"] = 12_345
    report.lost["zero-area-boxes"] = 2
    report.changed["nothing"] = 0
    for line in range(150):
        report.add("box.zero-area", "warning", NASTY, Path("a.xml"), line + 1)
    report.add("image.missing", "error", "gone")
    said = Page("My set", "detect", "voc", "because of that", "by seed", "0.0.0", report)
    write_report(tmp_path / "report.html", dataset(tmp_path), said)
    return (tmp_path / "report.html").read_text("utf-8")


def test_the_page_is_well_formed_and_asks_nobody_for_anything(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "iframe", "img")
        for name in ("src", "href"):
            value = attributes.get(name) or "data:"
            assert value.startswith(("data:", "#"))
    assert "url(" not in page
    assert 'name="viewport"' in page


def test_the_page_says_what_the_report_says(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    said = " ".join(reader.text)
    for words in ("My set", "because of that", "by seed", "12,345", "zero area boxes", NASTY):
        assert words in said
    assert "a.xml:1 –" in said
    assert "and 50 more, in report.json" in said
    assert "changed nothing" not in said
    # the gravest findings come first
    assert said.index("image.missing") < said.index("box.zero-area")


def test_names_cannot_break_out_of_the_page(page: str) -> None:
    assert "<script" not in page
    assert "a &lt;b&gt;.jpg" in page


def test_pictures_show_every_object(page: str) -> None:
    assert len(re.findall("<figure", page)) == 1  # of the three, one is empty and one is gone
    assert len(re.findall("<path", page)) == 3
    assert page.count("(crowd)") == 2  # its outline and its label


def test_pictures_show_every_class_first() -> None:
    def sample(place: int, *categories: int) -> Sample:
        items = tuple(Instance(c, Box(0, 0, 5, 5)) for c in categories)
        return Sample(Path(f"{place:03}.jpg"), SIZE, items, "train")

    samples = [sample(k, 0) for k in range(100)]
    samples[70], samples[90] = sample(70, 0, 1), sample(90, 2)
    samples[0] = sample(0)
    made = Dataset(tuple(map(Category, "abc")), tuple(samples))
    chosen = [int(s.image.stem) for s in choose_pictures(made, 5)]
    assert {70, 90} <= set(chosen)
    assert len(chosen) == len(set(chosen)) == 5
    assert 0 not in chosen
    assert choose_pictures(made, 200) == [s for s in samples if s.instances]
    assert choose_pictures(Dataset((), ()), 12) == []
