"""The page of mistakes: pictures that show them, linked to their files, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from detect_tl.evaluation.analysis import analyse
from detect_tl.evaluation.coco_eval import score
from detect_tl.evaluation.gallery import Gallery
from detect_tl.evaluation.mistakes import find_mistakes
from detect_tl.evaluation.report import RunReport, write_report
from detect_tl.evaluation.sheet import Sheet, make_sheet
from tests.browser import Tab, browser
from tests.evaluation.test_coco_eval import NAMES, random_case
from tests.evaluation.test_matching import sheet_of

PHONE, DESK = 375, 1100


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def write(folder: Path, sheet: Sheet) -> Path:
    files = {}
    (folder / "my images").mkdir(parents=True)
    for number, image_id in enumerate(sheet.image_ids):
        files[image_id] = folder / "my images" / f"{number} #a?.png"
        cv2.imwrite(str(files[image_id]), np.full((80, 100, 3), 20 * number, np.uint8))
    matches = sheet.matches(sheet.kinds[-1])
    analysis = analyse(matches, resamples=20)
    least = analysis.confusion.confidence
    (folder / "run").mkdir()
    page = folder / "run" / "mistakes.html"
    mistakes = find_mistakes(matches, analysis.errors, least)
    Gallery(page, "a <model>", sheet, matches, mistakes, least, files).write()
    return page


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "masks"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page"), sheet_of(11, masks=request.param, images=12))


def test_every_picture_is_linked_to_its_file(page: Path) -> None:
    html = page.read_text("utf-8")
    links = set(re.findall(r'<a href="([^"]*png)"', html))
    assert links
    for link in links:
        assert (page.parent / unquote(link)).is_file(), link
    assert "<model>" not in html
    for heading in ("Labels to look at", "False alarms", "Missed objects", "most mistakes"):
        assert heading in html


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_opens_from_disk_without_asking_for_anything(tab: Tab, page: Path, width: int) -> None:
    tab.show(page, width)
    assert tab.requests == []
    assert tab.complaints == []
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert tab.value("document.querySelectorAll('figure').length") > 3


def test_a_model_without_mistakes_has_an_empty_page(tmp_path: Path) -> None:
    truth, _ = random_case(3)
    html = write(tmp_path, make_sheet({**truth, "annotations": []}, [], names=NAMES)).read_text()
    assert html.count("None.") == 4
    assert "<figure" not in html


@pytest.mark.parametrize("masks", [False, True])
def test_a_report_shows_where_it_fails(tab: Tab, tmp_path: Path, masks: bool) -> None:
    sheet = sheet_of(5, masks=masks)
    report = RunReport(
        title="a run",
        version="1",
        metrics=score(sheet),
        analysis=analyse(sheet.matches(sheet.kinds[-1]), resamples=50).as_json(),
        mistakes="mistakes.html",
    )
    path = tmp_path / "report.html"
    write_report(report, path)
    for width in (PHONE, DESK):
        tab.show(path, width)
        assert tab.requests == []
        assert tab.complaints == []
        assert tab.value("document.documentElement.scrollWidth") <= width
    text = tab.value("document.body.innerText")
    for words in ("Where it fails", "What a confidence is worth", "background", "labelled"):
        assert words in text
