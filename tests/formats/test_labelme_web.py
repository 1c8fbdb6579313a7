from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.geometry import Box, PolygonMask, RleMask
from tests.formats.makers import image, read, text

TRIANGLE = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in [(10, 10), (40, 10), (10, 50)])
OBJECT = f"<object><name>cat</name><polygon>{TRIANGLE}</polygon></object>\n"


def written(tmp_path: Path, *objects: str, size: tuple[int, int] = (100, 80)) -> Path:
    image(tmp_path / "Images/set/a.jpg")
    body = f"<imagesize><nrows>{size[1]}</nrows><ncols>{size[0]}</ncols></imagesize>\n"
    head = "<filename>a.jpg</filename><folder>set</folder>"
    content = f"<annotation>{head}{''.join(objects)}{body}</annotation>"
    return text(tmp_path / "Annotations/set/a.xml", content)


def test_polygons_boxes_and_what_was_typed(tmp_path: Path) -> None:
    boxed = OBJECT.replace("<name>cat", "<type>bounding_box</type><name>dog")
    more = "<occluded>yes</occluded><attributes>grey, old</attributes><id>2</id>"
    typed = OBJECT.replace("<name>", f"{more}<parts><ispartof>1</ispartof></parts><name>")
    written(tmp_path, OBJECT, boxed, typed)
    result = read(tmp_path)
    assert result.format == "labelme-web"
    assert result.dataset.names == ["cat", "dog"]
    outline, box, part = result.dataset.instances()
    assert isinstance(outline.mask, PolygonMask)
    assert outline.mask.parts[0].tolist() == [[10, 10], [40, 10], [10, 50]]
    assert (box.box, box.mask) == (Box(10, 10, 40, 50), None)
    assert dict(part.attributes) == {
        "occluded": True,
        "attributes": "grey, old",
        "part_of": "1",
        "id": "2",
    }


def test_an_image_made_smaller_since(tmp_path: Path) -> None:
    written(tmp_path, OBJECT, size=(200, 160))
    (item,) = read(tmp_path).dataset.instances()
    assert item.box == Box(5, 5, 20, 25)


def test_deleted_objects_stay_deleted(tmp_path: Path) -> None:
    written(tmp_path, OBJECT, OBJECT.replace("<name>", "<deleted>1</deleted><name>"))
    result = read(tmp_path)
    assert len(list(result.dataset.instances())) == 1
    assert result.report.read["objects-deleted-by-their-author"] == 1
    assert not result.report.lost


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (OBJECT.replace("cat", ""), "no <name>"),
        (OBJECT.replace("<x>40<", "<x>four<"), "<x> is 'four'"),
        (OBJECT.replace("<x>40<", "<x>nan<"), "<x> is 'nan'"),
        (OBJECT.replace("<x>40<", "<x>10<"), "lie on one line"),
        ("<object><name>cat</name></object>\n", "neither a polygon nor a mask"),
        (
            "<object><name>cat</name><segm><mask>x.png</mask></segm></object>\n",
            "'x.png' is missing",
        ),
    ],
)
def test_a_damaged_object_is_named_with_its_line(tmp_path: Path, bad: str, words: str) -> None:
    path = written(tmp_path, OBJECT, bad, OBJECT)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (path, 2)
    assert result.report.lost == {"objects-unreadable": 1}
    assert len(list(result.dataset.instances())) == 2


def test_the_fixture_of_another_reader(shared: Path) -> None:
    result = read(shared / "data/tiny_datumaro_assets/assets/labelme_dataset")
    (sample,) = result.dataset.samples  # masks and scribbles are no images
    masks = {result.dataset.names[i.category]: i.mask for i in sample.instances}
    assert len(masks) == 7
    assert isinstance(masks["license plate"], RleMask)
    assert isinstance(masks["window"], PolygonMask)
    assert masks["b1"] is None
    assert not result.report.findings
