"""What checks say of real sets; how often each says something is in `test_shared_data.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.findings import Finding
from detect_tl.core.image_header import read_header
from detect_tl.curate.checks import Selection, check_dataset
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import ReadOptions


def findings(folder: Path, annotations: str | None = None) -> list[Finding]:
    """What reading and checking notice."""
    read = read_dataset(folder, options=ReadOptions(annotations=annotations))
    return [*read.report.findings, *check_dataset(read.dataset, reading=read).findings]


@pytest.fixture
def data(shared: Path) -> Path:
    return shared / "data"


def test_bccd(data: Path) -> None:
    found = findings(data / "voc_bccd/BCCD")
    empty = {f.path.name for f in found if f.code == "box.zero-area" and f.path}
    assert empty == {"BloodImage_00338.xml", "BloodImage_00343.xml"}
    (leak,) = (f for f in found if f.code == "split.near-leak")
    assert "BloodImage_00037.jpg in val, BloodImage_00038.jpg in train" in leak.message


def test_car_interiors(data: Path) -> None:
    found = findings(data / "coco_cvat_carinterior6")
    beyond = [int(match[1]) for f in found if (match := re.search(r"by (\d+) pixels", f.message))]
    assert (len(beyond), max(beyond)) == (11, 989)
    assert "mask.out-of-bounds" not in {f.code for f in found}  # the outlines are right


def test_copies_of_blood_cells_made_by_roboflow(data: Path) -> None:
    """Of one picture, augmented before the export; all in train."""
    alike = [f for f in findings(data / "coco_rf_rbc") if f.code == "image.near-duplicate"]
    for f in alike:
        assert f.path
        names = [f.path.name, *f.message.removeprefix("looks like ").split(", ")]
        assert len({name.partition(".rf.")[0] for name in names}) == 1


@pytest.mark.parametrize("annotations", ["*.xml", "*.json"])
def test_cats_in_two_spellings(data: Path, annotations: str) -> None:
    found = findings(data / "cvat_ls_pexels", annotations=annotations)
    (similar,) = (f for f in found if f.code == "class.similar")
    # one of the 19 is on the image that is absent
    assert similar.message == "'Cat' (18 objects), 'Cats' (5 objects) may be one class"


def test_damaged_cars_in_train_and_test(data: Path) -> None:
    found = findings(data / "via_cardamage", "via_region_data.json")
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
