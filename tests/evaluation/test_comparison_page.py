"""Models side by side on one page, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detect_tl.evaluation.analysis import analyse
from detect_tl.evaluation.compare import difference
from detect_tl.evaluation.comparison_page import write_comparison
from tests.browser import Tab, browser
from tests.evaluation.test_matching import sheet_of

PHONE, DESK = 375, 1100
LONG = "runs/" + "a-very-long-name-" * 8


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def values(*names: str) -> dict[str, Any]:
    models, first = [], None
    for seed, name in enumerate(names):
        analysis = analyse(sheet_of(seed, images=8).matches("bbox"), resamples=60)
        against = None if first is None else difference(analysis.drawn, first).as_json()
        first = first or analysis.drawn
        models.append(
            {
                "name": name,
                "mAP50-95": analysis.map50_95.as_json(),
                "against_first": against,
                "size_bytes": 5_400_000,
                "training_seconds": 12.5 if seed else None,
                "training_memory": 2_000_000_000 if seed else None,
                "epochs": 3 if seed else None,
                "images_per_second": 30.0,
                "evaluation": {"analysis": analysis.as_json()},
            }
        )
    differing = {"epochs": [None, *range(1, len(names))], "kin": ["<x>"] * len(names)}
    frame = {"data": "my <data>", "split": "val", "images": 8}
    return {**frame, "models": models, "settings": differing, "dataset": {}}


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_opens_from_disk(tab: Tab, tmp_path: Path, width: int) -> None:
    names = ("<first>", LONG, "third")
    curves = {name: {"epoch": [1.0, 2.0], "metrics/mAP50-95(B)": [0.1, 0.3]} for name in names}
    page = tmp_path / "comparison.html"
    write_comparison(page, values(*names), curves)
    tab.show(page, width)
    assert tab.requests == []
    assert tab.complaints == []
    assert tab.value("document.documentElement.scrollWidth") <= width
    text = tab.value("document.body.innerText")
    for words in ("<first>", LONG, "my <data>", "Settings that differ", "<x>"):
        assert words in text
    assert tab.value("document.querySelectorAll('svg').length") == 1


def test_models_that_were_not_trained_here_have_no_curves(tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    write_comparison(page, values("a", "b"), {})
    html = page.read_text("utf-8")
    assert "<svg" not in html
    assert "Data that differ" not in html
