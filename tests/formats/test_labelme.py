from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask, RleMask, mask_area, rle_to_bitmap
from tests.formats.makers import document, image, labelme, read, text

TRIANGLE = [[1, 1], [21, 1], [1, 31]]


def shape(kind: str | None, points: list[list[float]], label: str = "cat", **more: Any) -> Any:
    typed = {} if kind is None else {"shape_type": kind}
    return {"label": label, "points": points, "group_id": None, "flags": {}, **typed, **more}


def png(size: tuple[int, int], **options: Any) -> str:
    data = io.BytesIO()
    Image.new("L", size, 255).save(data, "PNG", **options)
    return base64.b64encode(data.getvalue()).decode()


def one(tmp_path: Path, *shapes: Any, **more: Any) -> Path:
    image(tmp_path / "a.jpg")
    return labelme(tmp_path / "a.json", "a.jpg", shapes, **more)


def test_polygons_and_rectangles(tmp_path: Path) -> None:
    one(
        tmp_path,
        shape("polygon", TRIANGLE, "dog"),
        shape(None, TRIANGLE),  # before version 3 there was no shape_type
        shape("rectangle", [[30, 40], [10, 5]]),
    )
    result = read(tmp_path)
    polygon, old, box = result.dataset.instances()
    assert result.format == "labelme"
    assert result.dataset.names == ["cat", "dog"]
    assert isinstance(polygon.mask, PolygonMask)
    assert polygon.mask.parts[0].tolist() == TRIANGLE
    assert polygon.box == Box(1, 1, 21, 31)
    assert old.mask == polygon.mask
    assert (box.box, box.mask) == (Box(10, 5, 30, 40), None)


def test_circles_become_polygons_of_the_same_area(tmp_path: Path) -> None:
    one(tmp_path, shape("circle", [[50, 40], [50, 10]]))
    (item,) = read(tmp_path).dataset.instances()
    assert item.mask is not None
    assert mask_area(item.mask) == pytest.approx(math.pi * 30**2, rel=0.01)
    assert item.box == pytest.approx((20, 10, 80, 70), abs=0.2)


def test_bitmaps_are_placed_where_their_corners_say(tmp_path: Path) -> None:
    one(tmp_path, shape("mask", [[10, 20], [15, 27]], mask=png((5, 7))))
    (item,) = read(tmp_path).dataset.instances()
    assert isinstance(item.mask, RleMask)
    expected = np.zeros((80, 100), np.uint8)
    expected[20:27, 10:15] = 1
    assert (rle_to_bitmap(item.mask) == expected).all()


def test_a_group_is_one_object_of_several_parts(tmp_path: Path) -> None:
    one(
        tmp_path,
        shape("polygon", TRIANGLE, group_id=1),
        shape("rectangle", [[60, 60], [70, 70]], group_id=1),
        shape("polygon", TRIANGLE, "dog", group_id=1),  # another class is another object
        shape("polygon", TRIANGLE, group_id=2),
    )
    first, second, third = read(tmp_path).dataset.instances()
    assert isinstance(first.mask, PolygonMask)
    assert len(first.mask.parts) == 2
    assert first.box == Box(1, 1, 70, 70)
    assert dict(first.attributes) == {"group_id": 1}
    assert (second.category, third.category) == (1, 0)


def test_flags_and_descriptions_are_kept(tmp_path: Path) -> None:
    more = {"flags": {"occluded": True, "blurred": False}, "description": "left"}
    one(tmp_path, shape("polygon", TRIANGLE, **more))
    (item,) = read(tmp_path).dataset.instances()
    assert dict(item.attributes) == {"occluded": True, "description": "left"}


def test_shapes_without_an_area_are_counted(tmp_path: Path) -> None:
    one(
        tmp_path,
        shape("point", [[1, 1]]),
        shape("line", [[1, 1], [2, 2]]),
        shape("linestrip", [[1, 1], [2, 2]]),
        shape("polygon", [[5, 5], [9, 9]]),  # a stray click
        shape("polygon", [[5, 5], [7, 7], [9, 9]]),
        shape("polygon", [[5, 5], [9, 9], [9, 5], [5, 9]]),  # crosses itself, but is no line
        shape("polygon", TRIANGLE),
    )
    result = read(tmp_path)
    assert result.report.lost == {
        "shapes-point": 1,
        "shapes-line": 1,
        "shapes-linestrip": 1,
        "shapes-without-area": 2,
    }
    assert result.report.count("labelme.no-area") == 5
    assert len(list(result.dataset.instances())) == 2


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (shape("polygon", [[1, 2], [3]]), "inhomogeneous"),
        (shape("polygon", [[1, 2, 3]]), "not a list of finite"),
        (shape("polygon", [[1, float("nan")]]), "not a list of finite"),
        (shape("polygon", [[1, 1], [1e308, 2], [-1e308, 3]]), "1e+308 pixels away"),
        (shape("polygon", TRIANGLE, " "), "label is empty"),
        (shape("circle", TRIANGLE), "a circle needs 2 points, it has 3"),
        (shape("oriented", TRIANGLE), "unknown shape_type 'oriented'"),
        (shape("mask", [[0, 0], [9, 9]], mask="no base64!"), "base64"),
        (shape("mask", [[90, 0], [99, 9]], mask=png((50, 50))), "leaves the image"),
        ({"points": TRIANGLE}, "it has no 'label'"),
        ("cat", "shape 2 is lost"),
    ],
)
def test_a_damaged_shape_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    one(tmp_path, shape("polygon", TRIANGLE), bad)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert "shape 2 is lost" in finding.message
    assert finding.path == tmp_path / "a.json"
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize("name", ["..\\pictures\\a.JPG", "C:\\Users\\me\\a.jpg", "a.png", ""])
def test_an_image_path_of_another_machine(tmp_path: Path, name: str) -> None:
    image(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", name, [shape("polygon", TRIANGLE)])
    (sample,) = read(tmp_path).dataset.samples
    assert sample.image == tmp_path / "a.jpg"
    assert len(sample.instances) == 1


def test_a_file_without_a_size(tmp_path: Path) -> None:
    one(tmp_path, shape("polygon", TRIANGLE), imageWidth=None, imageHeight=None)
    (sample,) = read(tmp_path).dataset.samples
    assert sample.size == (100, 80)


def test_a_missing_image_is_taken_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    labelme(folder / "a.json", "a.png", [shape("polygon", TRIANGLE)], imageData=png((100, 80)))
    labelme(folder / "b.json", "b.png", [shape("polygon", TRIANGLE)])
    result = read(folder)
    (sample,) = result.dataset.samples
    assert sample.image.name == "a.png"
    assert sample.image.read_bytes().startswith(b"\x89PNG")
    assert not sample.image.is_relative_to(folder)  # a source is never written to
    assert result.report.changed == {"images-unpacked": 1}
    assert result.report.lost == {"images": 1, "objects-without-image": 1}
    assert read(folder).dataset == result.dataset


def test_an_embedded_image_that_differs_is_said(tmp_path: Path) -> None:
    one(tmp_path, shape("polygon", TRIANGLE), imageData=png((100, 80)))
    assert read(tmp_path).report.count("image.embedded-differs") == 1


def test_images_without_json_are_background(tmp_path: Path) -> None:
    one(tmp_path, shape("polygon", TRIANGLE))
    image(tmp_path / "z.jpg")
    assert [len(s.instances) for s in read(tmp_path).dataset.samples] == [1, 0]


def test_labels_txt_gives_the_order(tmp_path: Path) -> None:
    one(tmp_path, shape("polygon", TRIANGLE), shape("polygon", TRIANGLE, "ant"))
    text(tmp_path / "labels.txt", "__ignore__\n_background_\ncat\ndog\n")
    assert read(tmp_path).dataset.names == ["cat", "dog", "ant"]


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"shapes": [', "broken JSON"), ('[{"shapes": []}]', '"shapes" is no list')],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str, words: str) -> None:
    image(tmp_path / "a.jpg")
    path = text(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    assert caught.value.path == path


@pytest.mark.parametrize("kind", ["oriented_rectangle", "rotation"])
def test_a_turned_rectangle_is_its_outline(tmp_path: Path, kind: str) -> None:
    corners = [[20, 10], [40, 30], [30, 40], [10, 20]]
    one(tmp_path, shape(kind, corners), shape(kind, TRIANGLE))
    result = read(tmp_path)
    (item,) = result.dataset.instances()
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0].tolist() == corners
    assert item.box == Box(10, 10, 40, 40)
    assert "needs 4 points, it has 3" in next(result.report.of("error")).message


def test_a_rectangle_of_four_corners_is_a_box(tmp_path: Path) -> None:
    one(tmp_path, shape("rectangle", [[10, 5], [30, 5], [30, 40], [10, 40]]))
    (item,) = read(tmp_path).dataset.instances()
    assert (item.box, item.mask) == (Box(10, 5, 30, 40), None)


@pytest.mark.parametrize("side", [None, float("nan"), "100", 0, -5])
def test_a_bitmap_in_a_file_without_a_size(tmp_path: Path, side: Any) -> None:
    bitmap = shape("mask", [[10.4, 20], [14.4, 26]], mask=png((5, 7)))
    one(tmp_path, bitmap, imageWidth=side, imageHeight=side)
    (item,) = read(tmp_path).dataset.instances()
    assert item.box == Box(10, 20, 15, 27)


def test_a_bitmap_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    bitmap = shape("mask", [[0, 0], [4, 6]], mask=png((5, 7)))
    one(tmp_path, bitmap, imageWidth=10**400, imageHeight=10**9)
    with pytest.raises(DataError, match=r"a mask on .* pixels is refused"):
        read(tmp_path)


def test_a_file_without_shapes_is_a_background(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    document(tmp_path / "a.json", {"shapes": None, "imagePath": "a.jpg", "imageData": None})
    (sample,) = read(tmp_path).dataset.samples
    assert (len(sample.instances), sample.annotation) == (0, tmp_path / "a.json")


def test_a_labels_txt_about_something_else_is_not_heeded(tmp_path: Path) -> None:
    one(tmp_path, shape("polygon", TRIANGLE))
    text(tmp_path / "labels.txt", "wheel\ndoor\n")
    assert read(tmp_path).dataset.names == ["cat"]
