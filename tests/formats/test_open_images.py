from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, RleMask, rle_to_bitmap
from tests.formats.makers import image, read, text

HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
MASKS = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
PLAIN = "xclick,/m/cat,1,0.1,0.3,0.25,0.5,0,0,0,0,0"


def boxes(root: Path, *rows: str, split: str = "train", header: str = HEADER) -> Path:
    for row in rows:
        name = row.split(",")[0]
        if name.isalpha():
            image(root / split / f"{name}.jpg")
    return text(root / f"{split}-annotations-bbox.csv", "\n".join([header, *rows]) + "\n")


def names(root: Path, *rows: str) -> None:
    text(root / "class-descriptions-boxable.csv", "".join(f"{row}\n" for row in rows))


def mask(root: Path, name: str, drawn: object, *rows: str) -> None:
    path = root / "masks" / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(drawn, np.uint8) * 255).convert("1").save(path)
    text(root / "train-annotations-object-segmentation.csv", "\n".join([MASKS, *rows]) + "\n")


def test_boxes_are_fractions_and_classes_have_names(tmp_path: Path) -> None:
    names(tmp_path, "/m/dog,Dog", "/m/cat,Cat", "/m/unused,Unicorn")
    boxes(tmp_path, f"a,{PLAIN}", "a,activemil,/m/dog,0.5,0,1,0,1,1,1,1,1,1")
    result = read(tmp_path)
    cat, dog = result.dataset.instances()
    assert result.format == "openimages"
    assert result.dataset.names == ["Dog", "Cat"]
    assert cat.box == pytest.approx((10, 20, 30, 40))
    assert (cat.category, cat.iscrowd, dict(cat.attributes)) == (1, False, {})
    assert (dog.box, dog.iscrowd) == (Box(0, 0, 100, 80), True)
    assert dict(dog.attributes) == {
        "occluded": True,
        "truncated": True,
        "depiction": True,
        "inside": True,
        "score": 0.5,
    }


def test_classes_without_a_name_or_with_the_same(tmp_path: Path) -> None:
    names(tmp_path, "/m/bat,Bat", "/m/animal,Bat")
    labels = ("/m/animal", "/m/bat", "/m/zebra")
    boxes(tmp_path, *(f"a,{PLAIN}".replace("/m/cat", label) for label in labels))
    result = read(tmp_path)
    assert result.dataset.names == ["Bat (/m/bat)", "Bat (/m/animal)", "/m/zebra"]
    assert result.report.count("openimages.no-names") == 1
    assert [i.category for i in result.dataset.instances()] == [1, 0, 2]


def test_the_layout_of_fifty_one(tmp_path: Path) -> None:
    root = tmp_path / "validation"
    image(root / "data/a.jpg")
    text(root / "labels/detections.csv", f"{HEADER}\na,{PLAIN}\n")
    text(root / "metadata/classes.csv", "/m/cat,Cat\n")
    result = read(tmp_path)
    assert result.dataset.names == ["Cat"]
    assert [s.split for s in result.dataset.samples] == ["val"]


def test_files_are_splits_and_a_part_of_the_release_is_enough(tmp_path: Path) -> None:
    boxes(tmp_path, f"b,{PLAIN}", f"0001,{PLAIN}", f"0002,{PLAIN}", f"a,{PLAIN}", f"b,{PLAIN}")
    boxes(tmp_path, f"a,{PLAIN}", split="validation")
    image(tmp_path / "test/z.jpg")
    result = read(tmp_path)
    found = [(s.image.name, s.split, len(s.instances)) for s in result.dataset.samples]
    assert found == [("b.jpg", "train", 2), ("a.jpg", "train", 1), ("a.jpg", "val", 1)]
    assert result.report.lost == {
        "images": 2,
        "objects-without-image": 2,
        "images-not-listed": 1,
    }
    assert result.report.count("image.missing") == 1


def test_rows_of_an_image_may_lie_apart(tmp_path: Path) -> None:
    rows = [
        f"{name},xclick,/m/cat,{k / 10},0,0.{k},0,1,1,0,0,0,0" for k, name in enumerate("abab", 1)
    ]
    result = read(boxes(tmp_path, *rows).parent)
    a, b = result.dataset.samples
    assert [i.box.x2 for i in a.instances] == pytest.approx([10, 30])
    assert [i.attributes["score"] for i in a.instances] == [0.1, 0.3]
    assert [i.attributes["score"] for i in b.instances] == [0.2, 0.4]


def test_a_mask_is_given_to_its_box(tmp_path: Path) -> None:
    boxes(tmp_path, f"a,{PLAIN}", f"a,{PLAIN}".replace("0.1", "0.2"))
    drawn = np.zeros((40, 50))  # half the size of the image
    drawn[10:20, 10:15] = 1
    mask(tmp_path, "a_mcat_1.png", drawn, "a_mcat_1.png,a,/m/cat,1,0.2,0.3,0.25,0.5,0.9,")
    result = read(tmp_path)
    first, second = result.dataset.instances()
    assert first.mask is None
    assert isinstance(second.mask, RleMask)
    expected = np.zeros((80, 100), np.uint8)
    expected[20:40, 20:30] = 1
    assert (rle_to_bitmap(second.mask) == expected).all()
    assert not result.report.lost  # the picture of the mask is no image


def test_masks_without_a_box_or_without_a_picture(tmp_path: Path) -> None:
    boxes(tmp_path, f"a,{PLAIN}")
    image(tmp_path / "train/b.jpg")
    rows = [
        "a_1.png,a,/m/dog,1,0,1,0,1,,",
        "b_1.png,b,/m/cat,2,0,0.5,0,1,,",
        "none.png,a,/m/cat,3,0.1,0.3,0.25,0.5,,",
        "gone.png,gone,/m/cat,4,0,1,0,1,,",
    ]
    mask(tmp_path, "b_1.png", np.ones((8, 10)), *rows)
    mask(tmp_path, "a_1.png", np.ones((8, 20)), *rows)
    result = read(tmp_path)
    a, b = result.dataset.samples
    assert [(i.box, i.mask is None) for i in a.instances][1:] == [(Box(0, 0, 100, 80), True)]
    assert [(i.box, i.mask is None) for i in b.instances] == [(Box(0, 0, 50, 80), False)]
    assert result.report.lost == {"masks": 2, "images": 1, "objects-without-image": 1}
    (shape,) = (f for f in result.report.findings if f.code == "openimages.bad-mask")
    assert "it is 20x8, its image 100x80" in shape.message
    assert shape.line == 2
    assert result.report.count("openimages.no-mask") == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,xclick,/m/cat,1,0.1", "it has 5 columns, not 13"),
        (f"a,{PLAIN}".replace("0.3", "nan"), "'nan' is not a finite number"),
        (f"a,{PLAIN}".replace("0.3", ""), "'' is not a finite number"),
        (f"a,{PLAIN}".replace("/m/cat", ""), "it has no LabelName"),
        (f"a,{PLAIN}".replace(",1,", ",sure,"), "'sure' is not a finite number"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = boxes(tmp_path, f"a,{PLAIN}", "", row)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (path, 4)
    assert len(list(result.dataset.instances())) == 1


def test_labels_of_whole_images_are_not_claimed(tmp_path: Path) -> None:
    text(
        tmp_path / "train-annotations-human-imagelabels.csv", "ImageID,Source,LabelName,Confidence"
    )
    with pytest.raises(DataError, match="none with ImageID, LabelName and XMin"):
        read(tmp_path, "openimages")


def test_the_fixture_of_another_reader(shared: Path) -> None:
    result = read(shared / "data/tiny_datumaro_assets/assets/open_images_dataset/v6")
    b, c = result.dataset.samples
    assert result.dataset.objects_per_class() == {"Generic label #0": 1, "Generic label #3": 1}
    assert (b.split, c.split) == ("train", "test")
    assert isinstance(b.instances[0].mask, RleMask)
    assert c.instances[0].iscrowd
    assert not list(result.report.of("error"))
