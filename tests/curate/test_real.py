"""Real data sets, in the layouts that their authors left them."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

from detect_tl.core.dataset import Instance
from detect_tl.core.geometry import RleMask, Size, box_iou
from detect_tl.core.masks import draw_mask
from detect_tl.curate.convert import ConvertResult, convert
from detect_tl.formats.detect import read_dataset


@pytest.fixture
def data(shared: Path) -> Path:
    return shared / "data"


def made(data: Path, tmp_path: Path, name: str) -> ConvertResult:
    return convert(data / name, tmp_path / Path(name).name, link="hard")


def test_bccd_keeps_its_official_splits_and_loses_two_boxes_without_an_area(
    data: Path, tmp_path: Path
) -> None:
    result = made(data, tmp_path, "voc_bccd/BCCD")
    assert result.split.counts() == {"train": 205, "val": 87, "test": 72}
    assert sum(result.dataset.objects_per_class().values()) == 4886
    assert result.report.lost["zero-area-boxes"] == 2
    dropped = [f.message for f in result.report.findings if f.code == "box.zero-area"]
    assert [any(n in text for text in dropped) for n in ("_00338.jpg", "_00343.jpg")] == [True] * 2


def test_fruits_whose_files_do_not_match_their_images_by_name(data: Path) -> None:
    read = read_dataset(data / "voc_cvat_fruit9")
    pairs = {s.annotation.stem: s.image.stem for s in read.dataset.samples if s.annotation}
    assert pairs["Limes_0"] == "Lime"
    assert pairs["Apple Braeburn_0"] == "Apple"
    assert pairs["Cactus fruit_0"] == "Cactus Fruit"


def test_coco128_keeps_crowds_parts_and_images_without_objects(data: Path, tmp_path: Path) -> None:
    result = made(data, tmp_path, "coco_coco128_0hye")
    items = list(result.dataset.instances())
    assert (len(result.dataset), len(items)) == (128, 939)
    assert sum(i.iscrowd and isinstance(i.mask, RleMask) for i in items) == 10
    assert sum(not s.instances for s in result.dataset.samples) == 2
    assert result.dataset.names.index("person") == 0
    assert len(result.dataset.names) == 80
    assert sum(n > 0 for n in result.dataset.objects_per_class().values()) == 71
    assert result.report.lost == {
        "yolo-crowds": 10,
        "yolo-joined-parts": 82,
        "yolo-merged-parts": 3,
    }
    labels = (result.folder / "labels").rglob("*.txt")
    assert sum(len(path.read_text().splitlines()) for path in labels) == 929


def test_roboflow_folders_are_splits(data: Path, tmp_path: Path) -> None:
    result = made(data, tmp_path, "coco_rf_rbc")
    assert result.split.counts() == {"train": 210, "val": 20, "test": 10}
    assert result.dataset.objects_per_class() == {"rbc": 5387, "wbc": 251}
    assert result.report.lost == {"placeholder-categories": 1}


def test_boxes_that_disagree_with_their_polygons_are_replaced(data: Path, tmp_path: Path) -> None:
    result = made(data, tmp_path, "coco_cvat_carinterior6")
    assert result.report.changed["boxes-taken-from-mask"] == 29
    assert sum(len(s.instances) for s in result.dataset.samples) == 29


def test_one_data_set_in_two_formats_converts_to_the_same(data: Path, tmp_path: Path) -> None:
    one = made(data, tmp_path, "labelme_fruitnuts")
    two = made(data, tmp_path, "coco_fruitnuts")
    assert one.dataset.names == two.dataset.names == ["date", "fig", "hazelnut"]
    assert one.task == two.task == "segment"
    for a, b in zip(one.dataset.samples, two.dataset.samples, strict=True):
        assert (a.image.name, a.size, a.split) == (b.image.name, b.size, b.split)
        assert a.image.read_bytes() == b.image.read_bytes()
        assert len(a.instances) == len(b.instances)
        for left, right in zip(a.instances, b.instances, strict=True):
            assert_same(left, right, a.size)
    labels = [sorted((r.folder / "labels").rglob("*.txt")) for r in (one, two)]
    for left_file, right_file in zip(*labels, strict=True):
        assert left_file.read_text() == right_file.read_text()


def assert_same(a: Instance, b: Instance, size: Size) -> None:
    assert a.category == b.category
    assert box_iou(a.box, b.box) > 0.95  # the COCO file has its boxes in whole pixels
    assert a.mask is not None
    assert b.mask is not None
    one, two = draw_mask(a.mask, size), draw_mask(b.mask, size)
    assert (one & two).sum() / (one | two).sum() >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "objects"),
    [
        ("voc_bccd/BCCD", "detect", 4886),
        ("labelme_fruitnuts", "segment", 165),
        ("coco_coco128_0hye", "segment", 929),
    ],
)
def test_ultralytics_reads_every_image_and_every_object(
    data: Path, tmp_path: Path, name: str, task: str, objects: int
) -> None:
    """Its own loader, from another working directory, finds nothing corrupt."""
    import detect_tl.models.yolo  # noqa: F401 - first, for it keeps Ultralytics quiet and offline

    from ultralytics.data.dataset import YOLODataset  # isort: skip
    from ultralytics.data.utils import check_det_dataset

    result = made(data, tmp_path, name)
    with chdir("/"):
        known = check_det_dataset(str(result.data_yaml), autodownload=False)
    assert [known["names"][k] for k in range(len(known["names"]))] == result.dataset.names
    seen = 0
    for split, count in result.split.counts().items():
        loader = YOLODataset(img_path=known[split], data=known, task=task, imgsz=640, augment=False)
        assert len(loader) == count
        cache = loader.cache_labels(tmp_path / f"{split}.cache")
        assert cache["results"][3] == 0  # corrupt
        assert not cache["msgs"]
        sizes = {Path(x["im_file"]).name: x["shape"] for x in loader.labels}
        for sample in result.dataset.in_split(split):
            assert sizes[sample.image.name] == (sample.size.height, sample.size.width)
        seen += sum(len(label["cls"]) for label in loader.labels)
    assert seen == objects
