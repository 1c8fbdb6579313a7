from __future__ import annotations

import base64
import io
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, RleMask, rle_to_bitmap
from detect_tl.formats.source import Source
from detect_tl.formats.supervisely.format import FORMAT
from tests.formats.makers import document, image, read, text

RING = [[10, 10], [50, 10], [50, 50], [10, 50]]
HOLE = [[20, 20], [30, 20], [30, 30]]


def shape(kind: str | None, title: str = "cat", **values: Any) -> dict[str, Any]:
    typed = {} if kind is None else {"geometryType": kind}
    return {"classTitle": title, "tags": [], **typed, **values}


def rectangle(*corners: list[float], **values: Any) -> dict[str, Any]:
    return shape("rectangle", points={"exterior": list(corners), "interior": []}, **values)


def polygon(ring: Any = RING, *holes: Any, **values: Any) -> dict[str, Any]:
    return shape("polygon", points={"exterior": ring, "interior": list(holes)}, **values)


def packed(patch: Any, mode: str = "P", **options: Any) -> str:
    """A PNG as the tool packs it: of two colours, of which the first is transparent."""
    picture = Image.fromarray(np.asarray(patch, np.uint8))
    if mode == "P":
        picture.putpalette([0, 0, 0, 255, 255, 255])
        options = {"transparency": 0, **options}
    elif mode == "RGBA":
        alpha = Image.fromarray(np.asarray(patch, np.uint8) * 255)
        picture = Image.merge("RGBA", [Image.new("L", picture.size, 0)] * 3 + [alpha])
    data = io.BytesIO()
    picture.save(data, "PNG", **options)
    return base64.b64encode(zlib.compress(data.getvalue())).decode()


def bitmap(data: str, origin: Any = (10, 20), kind: str = "bitmap") -> dict[str, Any]:
    return shape(kind, **{kind: {"data": data, "origin": list(origin)}})


def one(root: Path, *objects: Any, dataset: str = "ds", tags: Any = (), **more: Any) -> Path:
    image(root / dataset / "img/a.jpg")
    size = {"height": 80, "width": 100}
    value = {"description": "", "tags": list(tags), "size": size, "objects": list(objects), **more}
    document(root / dataset / "ann/a.jpg.json", value)
    return root


def meta(root: Path, *names: str) -> None:
    document(root / "meta.json", {"classes": [{"title": n, "shape": "any"} for n in names]})


def test_rectangles_and_outlines_with_holes(tmp_path: Path) -> None:
    meta(tmp_path, "dog", "cat")
    old = shape(None, points={"exterior": RING, "interior": []}, title="bird")
    result = read(one(tmp_path, rectangle([30, 40], [10, 5]), polygon(RING, HOLE), old))
    box, outline, untyped = result.dataset.instances()
    assert result.format == "supervisely"
    assert result.dataset.names == ["dog", "cat", "bird"]
    assert (box.box, box.mask) == (Box(10, 5, 30, 40), None)
    assert isinstance(outline.mask, PolygonMask)
    assert outline.mask.holes[0].tolist() == HOLE
    assert untyped.box == Box(10, 10, 50, 50)


@pytest.mark.parametrize("mode", ["P", "RGBA", "L"])
@pytest.mark.parametrize("kind", ["bitmap", "alpha_mask"])
def test_bitmaps_lie_at_their_origin(tmp_path: Path, mode: str, kind: str) -> None:
    patch = np.asarray([[0, 1, 1], [0, 0, 1]], np.uint8)
    (item,) = read(one(tmp_path, bitmap(packed(patch, mode), kind=kind))).dataset.instances()
    expected = np.zeros((80, 100), np.uint8)
    expected[20:22, 10:13] = patch
    assert isinstance(item.mask, RleMask)
    assert (rle_to_bitmap(item.mask) == expected).all()
    assert item.box == Box(11, 20, 13, 22)


def test_a_bitmap_that_is_not_packed_twice(tmp_path: Path) -> None:
    once = base64.b64encode(zlib.decompress(base64.b64decode(packed([[1]])))).decode()
    (item,) = read(one(tmp_path, bitmap(once))).dataset.instances()
    assert item.box == Box(10, 20, 11, 21)


def test_a_bomb_is_named_and_not_unpacked(tmp_path: Path) -> None:
    bomb = base64.b64encode(zlib.compress(bytes(80 << 20), 9)).decode()
    wide = packed(np.zeros((1, 20_000)))
    result = read(one(tmp_path, bitmap(bomb), bitmap(wide), rectangle([1, 1], [5, 5])))
    first, second = (f.message for f in result.report.of("error"))
    assert "unpacks to more than 64 MiB" in first
    assert "20000x1, leaves the image" in second
    assert len(list(result.dataset.instances())) == 1


def test_tags_are_attributes_and_a_binding_joins_parts(tmp_path: Path) -> None:
    tags = [{"name": "blurred", "value": None}, {"name": "side", "value": "left"}, "old"]
    other = [[60, 60], [70, 60], [70, 70]]
    result = read(one(tmp_path, polygon(tags=tags, instance="k"), polygon(other, instance="k")))
    (item,) = result.dataset.instances()
    assert isinstance(item.mask, PolygonMask)
    assert len(item.mask.parts) == 2
    assert dict(item.attributes) == {
        "blurred": True,
        "side": "left",
        "old": True,
        "group_id": "k",
    }


def test_what_has_no_area_is_counted(tmp_path: Path) -> None:
    at = {"points": {"exterior": [[1, 1], [9, 9]], "interior": []}}
    result = read(one(tmp_path, shape("point", **at), shape("line", **at), polygon()))
    assert result.report.lost == {"shapes-point": 1, "shapes-line": 1}
    assert result.report.count("supervisely.no-area") == 2
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (rectangle([1, 1]), "needs 2 points, it has 1"),
        (rectangle([1, 1], [2, float("nan")]), "not a list of finite"),
        (polygon([[1, 1], [2, 2]]), "has 2 points, not 3"),
        (polygon(RING, [[1, 1]]), "has 1 points, not 3"),
        (polygon([[1, 2, 3]] * 3), "not a list of finite"),
        (polygon(title=" "), "its label is empty"),
        (bitmap("no base64!"), "base64"),
        (bitmap(base64.b64encode(b"nothing").decode()), "is no PNG"),
        (bitmap(packed([[0, 0]])), "its mask is empty"),
        (bitmap(packed([[1, 1]]), [99, 0]), "leaves the 100x80 image"),
        (shape("bitmap"), "it has no 'bitmap'"),
        (shape("polygon"), "it has no 'points'"),
        ({"points": {"exterior": RING}}, "it has no 'classTitle'"),
        ("cat", "object 2 is lost"),
    ],
)
def test_a_damaged_object_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    result = read(one(tmp_path, polygon(), bad))
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert finding.message.startswith("object 2 is lost")
    assert result.report.lost == {"objects-unreadable": 1}
    assert len(list(result.dataset.instances())) == 1


def test_splits_of_folders_or_tags(tmp_path: Path) -> None:
    one(tmp_path, polygon(), dataset="valid", tags=[{"name": "sunny"}])
    one(tmp_path, polygon(), dataset="ds", tags=[{"name": "train", "value": None}])
    result = read(tmp_path)
    assert [s.split for s in result.dataset.samples] == ["train", "val"]
    one(tmp_path, polygon(), dataset="ds", tags=[{"name": "train"}, {"name": "sunny"}])
    assert read(tmp_path).report.lost == {"image-tags": 1}


def test_images_without_objects_are_kept_and_old_names_are_found(tmp_path: Path) -> None:
    one(tmp_path)
    image(tmp_path / "ds/img/b.png")
    value = {"size": {"height": 80, "width": 100}, "objects": [polygon()]}
    document(tmp_path / "ds/ann/b.json", value)
    result = read(tmp_path)
    assert [len(s.instances) for s in result.dataset.samples] == [0, 1]
    assert not list(result.report.of("error"))


def test_a_damaged_meta_is_refused(tmp_path: Path) -> None:
    path = text(one(tmp_path, polygon()) / "meta.json", '{"classes": [{"shape": "any"}]}')
    with pytest.raises(DataError, match="it has no 'title'") as caught:
        read(tmp_path)
    assert caught.value.path == path


def test_the_demo_has_lost_its_image(shared: Path) -> None:
    report = Report()
    dataset = FORMAT.read(Source(shared / "data/sly_demo1"), report)
    assert len(dataset) == 0
    assert report.lost == {"images": 1, "objects-without-image": 93}
    assert report.count("image.missing") == 1


def test_the_demo_with_an_image_of_its_size(shared: Path, tmp_path: Path) -> None:
    shutil.copytree(shared / "data/sly_demo1/project_demo", tmp_path / "demo")
    picture = tmp_path / "demo/dataset/img/(77).jpg"
    picture.parent.mkdir()
    Image.new("L", (5184, 3456)).save(picture)
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"duckweed": 93}
    assert not result.report.findings
    (sample,) = result.dataset.samples
    assert all(i.box.clipped(sample.size) == i.box for i in sample.instances)
