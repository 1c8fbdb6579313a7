"""Every problem that real sets are known to have is found, and little else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Finding
from detect_tl.core.image_header import read_header
from detect_tl.curate.checks import Selection, check_dataset
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import ReadOptions


def findings(folder: Path, annotations: str | None = None) -> list[Finding]:
    """What reading and checking notice."""
    read = read_dataset(folder, options=ReadOptions(annotations=annotations))
    return [*read.report.findings, *check_dataset(read.dataset, reading=read).findings]


def codes(found: list[Finding], *severities: str) -> Counter[str]:
    return Counter(f.code for f in found if not severities or f.severity in severities)


@pytest.fixture
def data(shared: Path) -> Path:
    return shared / "data"


def test_bccd(data: Path) -> None:
    found = findings(data / "voc_bccd/BCCD")
    assert codes(found) == {"box.zero-area": 2, "split.near-leak": 1, "box.one-based": 1}
    empty = {f.path.name for f in found if f.code == "box.zero-area" and f.path}
    assert empty == {"BloodImage_00338.xml", "BloodImage_00343.xml"}
    (leak,) = (f for f in found if f.code == "split.near-leak")
    assert "BloodImage_00037.jpg in val, BloodImage_00038.jpg in train" in leak.message


def test_car_interiors(data: Path) -> None:
    found = findings(data / "coco_cvat_carinterior6")
    counts = codes(found)
    assert counts["box.mask-mismatch"] == 29
    assert counts["box.zero-area"] == 1
    assert counts["class.unused"] == 13
    assert codes(found, "error") == {"box.zero-area": 1}
    beyond = [int(match[1]) for f in found if (match := re.search(r"by (\d+) pixels", f.message))]
    assert len(beyond) == counts["box.out-of-bounds"] == 11
    assert max(beyond) == 989
    assert not counts["mask.out-of-bounds"]  # the outlines are right


def test_blood_cells_of_roboflow(data: Path) -> None:
    found = findings(data / "coco_rf_rbc")
    counts = codes(found)
    assert counts["class.placeholder"] == 1
    assert counts["box.several-classes"] == 4
    assert not codes(found, "error")
    # copies of one picture, augmented before the export; all in train
    assert counts["image.near-duplicate"] == 22
    for f in found:
        if f.code == "image.near-duplicate" and f.path:
            names = [f.path.name, *f.message.removeprefix("looks like ").split(", ")]
            assert len({name.partition(".rf.")[0] for name in names}) == 1


def test_fruits_and_nuts(data: Path) -> None:
    assert not findings(data / "coco_fruitnuts")
    assert codes(findings(data / "labelme_fruitnuts")) == {"image.embedded-differs": 18}
    fruit = codes(findings(data / "voc_cvat_fruit9"))
    assert fruit == {
        "class.few": 9,
        "image.name-mismatch": 9,
        "image.size-mismatch": 9,
        "image.transparent": 9,
    }


def test_coco128(data: Path) -> None:
    found = findings(data / "coco_coco128_0hye", annotations="instances_train2017.json")
    counts = codes(found)
    assert counts["class.unused"] == 9
    assert counts["annotation.empty"] == 2
    assert counts["image.grey"] == 1
    assert not codes(found, "error")
    assert set(codes(found, "warning")) == {"box.tiny", "class.few", "class.imbalance"}


def test_licence_plates(data: Path) -> None:
    found = findings(data / "createml_anpr")
    assert not codes(found, "error")
    assert not codes(found, "warning")


@pytest.mark.parametrize("annotations", ["*.xml", "*.json"])
def test_cats_in_two_spellings(data: Path, annotations: str) -> None:
    found = findings(data / "cvat_ls_pexels", annotations=annotations)
    (similar,) = (f for f in found if f.code == "class.similar")
    # one of the 19 is on the image that is absent
    assert similar.message == "'Cat' (18 objects), 'Cats' (5 objects) may be one class"
    assert codes(found, "error") == {"image.missing": 1}


def test_damaged_cars_in_train_and_test(data: Path) -> None:
    found = findings(data / "via_cardamage", "via_region_data.json")
    assert codes(found) == {
        "image.duplicate": 1,
        "image.near-duplicate": 2,
        "image.unlisted": 1,
        "split.unlisted-leak": 1,
    }
    (leak,) = (f for f in found if f.code == "split.unlisted-leak")
    assert leak.path
    assert leak.path.name == "66.jpg"
    assert leak.message == "is in the folder of test, and the same as 17.jpg in train"


def test_the_same_when_the_folders_are_the_splits(data: Path) -> None:
    folder = data / "via_cardamage" / "dataset"
    samples = tuple(
        Sample(path, read_header(path).size, (), path.parent.name)
        for path in sorted(folder.rglob("*.jpg"))
    )
    report = check_dataset(Dataset((), samples), selection=Selection(("split", "image")))
    assert report.by_code() == {"image.near-duplicate": 2, "image.duplicate": 1, "split.leak": 1}
    (leak,) = report.of("error")
    assert "(66.jpg in test, 17.jpg in train)" in leak.message


def test_the_only_annotated_image_of_supervisely_is_absent(data: Path) -> None:
    with pytest.raises(DataError, match=r"'\(77\)\.jpg' is missing; its 93 objects are lost"):
        read_dataset(data / "sly_demo1")
