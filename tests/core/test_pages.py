"""Pages that hold all they show."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import jinja2
import numpy as np
import pytest

from detect_tl.core.pages import class_colour, embedded_jpeg, svg_path, write_page


def decoded(address: str) -> np.ndarray:
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("size", "shown"), [((40, 80), (40, 80)), ((400, 100), (100, 25)), ((1, 900), (1, 100))]
)
def test_pictures_are_made_smaller_never_larger(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    got = decoded(embedded_jpeg(image, 100))
    assert got.shape[:2] == shown
    assert abs(int(got.mean()) - 90) <= 1


def test_a_page_is_escaped_and_takes_the_common_look(tmp_path: Path) -> None:
    template = tmp_path / "mine.html.j2"
    template.write_text('{% extends "page.html.j2" %}{% block main %}{{ word }}{% endblock %}')
    write_page(tmp_path / "out.html", template, {"word": "<b>"})
    html = (tmp_path / "out.html").read_text("utf-8")
    assert "&lt;b&gt;" in html
    assert "prefers-color-scheme" in html
    with pytest.raises(jinja2.UndefinedError):
        write_page(tmp_path / "other.html", template, {})
    assert not (tmp_path / "other.html").exists()


def test_outlines_are_closed_and_not_endless() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4]], float)
    assert svg_path([square, square + 10]) == (
        "M0.0,0.0 4.0,0.0 4.0,4.0ZM10.0,10.0 14.0,10.0 14.0,14.0Z"
    )
    assert svg_path([np.zeros((100_000, 2))]).count(",") < 500


def test_classes_keep_their_colours() -> None:
    assert class_colour(3) == class_colour(13) != class_colour(4)
