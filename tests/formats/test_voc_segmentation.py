from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from detect_tl.core.geometry import Box, PolygonMask, RleMask, rle_to_bitmap
from detect_tl.formats.voc.palette import CLASSES, palette
from tests.formats.makers import image, read, text, voc, voc_object

CAT, DOG = CLASSES.index("cat") + 1, CLASSES.index("dog") + 1


def picture(path: Path, values: NDArray[np.uint8], kind: str = "P") -> Path:
    """A picture with the palette of VOC, or in its colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(values)
    if kind == "P":
        made = made.convert("P")
        made.putdata(values.reshape(-1).tolist())
        made.putpalette([channel for colour in palette() for channel in colour])
    elif kind == "RGB":
        made = Image.fromarray(np.asarray(palette(), np.uint8)[values])
    made.save(path)
    return path


def two_objects(folder: Path, kind: str = "P", *, classes: bool = True) -> None:
    """Object 1, a cat, at (10, 10, 30, 30); object 2, a dog, at (50, 20, 70, 60); void around."""
    image(folder / "JPEGImages/a.jpg")
    objects = np.zeros((80, 100), np.uint8)
    objects[8:32, 8:32] = 255
    objects[10:30, 10:30] = 1
    objects[20:60, 50:70] = 2
    kinds = np.where(objects == 1, CAT, np.where(objects == 2, DOG, objects)).astype(np.uint8)
    picture(folder / "SegmentationObject/a.png", objects, kind)
    if classes:
        picture(folder / "SegmentationClass/a.png", kinds, kind)


def drawn(box: Box) -> NDArray[np.uint8]:
    bitmap = np.zeros((80, 100), np.uint8)
    x1, y1, x2, y2 = map(int, box)
    bitmap[y1:y2, x1:x2] = 1
    return bitmap


def test_the_palette_is_that_of_the_challenge() -> None:
    assert palette()[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert palette()[CAT] == (64, 0, 0)
    assert palette()[255] == (224, 224, 192)
    assert len(set(palette())) == 256


@pytest.mark.parametrize("kind", ["P", "RGB", "L"])
def test_masks_alone_are_objects(tmp_path: Path, kind: str) -> None:
    two_objects(tmp_path, kind)
    (tmp_path / "JPEGImages/a.jpg").unlink()
    image(tmp_path / "JPEGImages/a.png")
    text(tmp_path / "ImageSets/Segmentation/val.txt", "a\n")
    result = read(tmp_path)
    assert not result.report.findings
    assert result.format == "voc"
    (sample,) = result.dataset.samples  # the pictures of numbers are no images of their own
    assert sample.split == "val"
    assert result.dataset.objects_per_class() == {"cat": 1, "dog": 1}
    for item, box in zip(sample.instances, [Box(10, 10, 30, 30), Box(50, 20, 70, 60)], strict=True):
        assert item.box == box
        assert isinstance(item.mask, RleMask)
        assert (rle_to_bitmap(item.mask) == drawn(box)).all()


def test_a_mask_goes_to_the_box_of_its_class_around_it(tmp_path: Path) -> None:
    two_objects(tmp_path)
    boxes = [
        voc_object("cat", 48, 18, 72, 62),  # around the dog
        voc_object("cat", 8, 8, 32, 32),
        voc_object("bird", 1, 1, 5, 5),
    ]
    voc(tmp_path / "Annotations/a.xml", "a.jpg", *boxes)
    result = read(tmp_path)
    items = list(result.dataset.instances())
    assert [result.dataset.names[i.category] for i in items] == ["cat", "cat", "bird", "dog"]
    assert [i.mask is None for i in items] == [True, False, True, False]
    assert items[1].box == Box(8, 8, 32, 32)  # the box that was drawn is kept
    assert result.report.changed == {
        "masks-joined-to-boxes": 1,
        "objects-without-box-in-xml": 1,
        "boxes-without-mask": 2,
    }


def test_an_outline_in_the_file_goes_before_the_picture(tmp_path: Path) -> None:
    two_objects(tmp_path)
    corners = enumerate([(8, 8), (32, 8), (20, 32)], start=1)
    outline = "".join(f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in corners)
    cat = voc_object("cat", 8, 8, 32, 32, extra=f"<polygon>{outline}</polygon>")
    voc(tmp_path / "Annotations/a.xml", "a.jpg", cat)
    cat_item, dog = read(tmp_path).dataset.instances()
    assert isinstance(cat_item.mask, PolygonMask)
    assert isinstance(dog.mask, RleMask)


def test_the_colours_of_a_labelmap_give_the_classes(tmp_path: Path) -> None:
    two_objects(tmp_path, "RGB")
    cat, dog = (",".join(map(str, palette()[k])) for k in (CAT, DOG))
    text(tmp_path / "labelmap.txt", f"background:0,0,0::\nwolf:{dog}::\nlynx:{cat}::\n")
    assert read(tmp_path).dataset.objects_per_class() == {"wolf": 1, "lynx": 1}


def test_objects_without_a_class_are_lost_and_named(tmp_path: Path) -> None:
    two_objects(tmp_path, classes=False)
    voc(tmp_path / "Annotations/a.xml", "a.jpg", voc_object("cat", 8, 8, 32, 32))
    result = read(tmp_path)
    assert result.report.lost == {"masks-without-class": 2}
    assert result.report.count("voc.mask-without-class") == 2
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize("folder", ["SegmentationObject", "SegmentationClass"])
def test_a_damaged_picture_costs_its_masks_only(tmp_path: Path, folder: str) -> None:
    two_objects(tmp_path)
    path = tmp_path / folder / "a.png"
    path.write_bytes(path.read_bytes()[:60])
    voc(tmp_path / "Annotations/a.xml", "a.jpg", voc_object("cat", 8, 8, 32, 32))
    result = read(tmp_path)
    (item,) = result.dataset.instances()
    assert item.mask is None
    assert [f.path for f in result.report.findings if f.code == "voc.bad-mask"] == [path]


def test_a_picture_of_another_size_leaves_the_boxes(tmp_path: Path) -> None:
    two_objects(tmp_path)
    image(tmp_path / "JPEGImages/a.jpg", (60, 80))
    voc(tmp_path / "Annotations/a.xml", "a.jpg", voc_object("cat", 8, 8, 32, 32), size=(60, 80))
    result = read(tmp_path)
    assert all(item.mask is None for item in result.dataset.instances())
    (error,) = result.report.of("error")
    assert "the mask is 100x80, its image 60x80" in error.message


def test_pictures_of_one_name_in_two_folders(tmp_path: Path) -> None:
    for folder in ("VOC2007", "VOC2012"):
        two_objects(tmp_path / folder)
        xml = tmp_path / folder / "Annotations/a.xml"
        voc(xml, "a.jpg", voc_object("cat", 8, 8, 32, 32))
    samples = read(tmp_path).dataset.samples
    assert [[i.mask is None for i in s.instances] for s in samples] == [[False, False]] * 2


def test_a_turned_box_of_rolabelimg(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    numbers = {"cx": 50, "cy": 40, "w": 20, "h": 10, "angle": np.pi / 2}
    turned = "".join(f"<{tag}>{value}</{tag}>" for tag, value in numbers.items())
    item = f"<object><name>cat</name><robndbox>{turned}</robndbox></object>"
    voc(tmp_path / "a.xml", "a.jpg", item)
    (found,) = read(tmp_path).dataset.instances()
    assert tuple(found.box) == pytest.approx((45, 30, 55, 50))
    assert found.mask is not None


@pytest.mark.parametrize("number", ["1e308", "nan", "wide"])
def test_a_turned_box_of_no_size(tmp_path: Path, number: str) -> None:
    image(tmp_path / "a.jpg")
    turned = "".join(f"<{tag}>{number}</{tag}>" for tag in ("cx", "cy", "w", "h", "angle"))
    item = f"<object><name>cat</name><robndbox>{turned}</robndbox></object>"
    voc(tmp_path / "a.xml", "a.jpg", item, voc_object("cat", 1, 2, 30, 40))
    assert read(tmp_path).report.lost == {"objects-unreadable": 1}


def test_the_fixture_of_another_reader(shared: Path) -> None:
    found = read(shared / "data/tiny_datumaro_assets/assets/voc_dataset/voc_dataset1")
    (sample,) = (s for s in found.dataset.samples if s.annotation)
    assert sample.image.name == "2007_000001.jpg"
    assert all("Segmentation" not in str(s.image) for s in found.dataset.samples)
    assert found.report.read["mask-files"] == 1
