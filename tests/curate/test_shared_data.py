"""Every set of real data: its images, splits and objects, and the problems it is known to have.

The numbers were counted in the files by other means than our readers; the sets are described in
the README of the folder of real data. It names 78 images of cars, of which 70 are annotated, and
24 cats, of which one is on an absent image. No set of photos turned by EXIF is among them; those
are made in `test_checks_images.py` and `test_frame.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.curate.checks import check_dataset
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import ReadOptions

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Known:
    """What is known of one account of a data set.

    splits: number of images by split, "-" for those of none. classes: number of objects by class.
    further: how many classes there are beside those, and how many objects they have.
    problems: the errors and warnings by code, all of them but what `SMALL` names.
    notes: infos by code that have to be among the others.
    """

    folder: str
    format: str
    splits: Counts
    classes: Counts
    further: tuple[int, int] = (0, 0)
    annotations: str | None = None
    lost: Counts = field(default_factory=dict)
    problems: Counts = field(default_factory=dict)
    notes: Counts = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.folder, self.annotations)))


# True of nearly every set of a few images, and no news.
SMALL = {"annotation.mostly-empty", "class.few", "image.too-small", "split.class-not-trained"}

FRUIT_AND_NUTS = {"date": 71, "fig": 41, "hazelnut": 53}
DAMAGE = {"damage": 164}
CAR_PARTS = {"door": 42, "front_bumper": 37, "headlamp": 76, "hood": 31, "rear_bumper": 29}
RECEIPT = {"Date": 6, "Header": 6, "Total": 6}
# Both tools name 14 images with 24 objects, 19 of them Cat; one image with one Cat is absent.
CATS = {"Cat": 18, "Cats": 5}
ABSENT = {"images": 1, "objects-without-image": 1}
# Two pairs of files are equal to the byte: one in train, one in train and the unlisted test.
CARS_TWICE = {"image.duplicate": 1, "split.unlisted-leak": 1}
CARS_UNLISTED = {"image.unlisted": 1, "image.near-duplicate": 2}

REAL = [
    Known(
        "voc_bccd",
        "voc",
        {"train": 205, "val": 87, "test": 72},
        {"Platelets": 361, "RBC": 4155, "WBC": 372},
        problems={"box.zero-area": 2, "split.near-leak": 1},
        notes={"box.one-based": 1},
    ),
    Known(
        "voc_cvat_fruit9",
        "voc",
        {"-": 9},
        dict.fromkeys(
            "Apple,Apricot,Avocado,Banana,Blueberry,Cactus Fruit,Kiwi,Lime,Mango".split(","), 1
        ),
        # not in the README: all were annotated at 100 x 100 pixels and are about 400 x 400
        problems={"image.name-mismatch": 9, "image.size-mismatch": 9},
        notes={"image.transparent": 9},
    ),
    Known("coco_fruitnuts", "coco", {"-": 18}, FRUIT_AND_NUTS),
    Known(
        "labelme_fruitnuts",
        "labelme",
        {"-": 18},
        FRUIT_AND_NUTS,
        notes={"image.embedded-differs": 18},
    ),
    Known(
        "coco_coco128_0hye",
        "coco",
        {"train": 128},
        {"book": 30, "car": 47, "chair": 36, "cup": 36, "person": 259},
        further=(66, 531),
        # its two annotation files are of the same images, as its own README says
        problems={"split.overlap": 128, "box.tiny": 7, "class.imbalance": 1},
        notes={"annotation.empty": 2, "class.unused": 9},
    ),
    Known(
        "coco_cvat_carinterior6",
        "coco",
        {"-": 6},
        {
            "Armrests": 2,
            "Bluetooth": 2,
            "Center Console": 4,
            "Driver Dash Controls": 1,
            "Driver Seat": 5,
            "Front Left Door Panel": 2,
            "Odometer": 3,
            "Passenger Seat": 2,
            "Steering Wheel": 3,
            "Touchscreen": 5,
        },
        problems={"box.mask-mismatch": 29, "box.out-of-bounds": 11, "box.zero-area": 1},
        notes={"class.unused": 13},
    ),
    Known(
        "coco_rf_rbc",
        "coco",
        {"train": 210, "val": 20, "test": 10},
        {"rbc": 5387, "wbc": 251},
        lost={"placeholder-categories": 1},
        problems={"box.several-classes": 4},
        notes={"class.placeholder": 1, "image.near-duplicate": 22},
    ),
    Known(
        "via_balloon",
        "via",
        {"train": 61, "val": 13},
        {"object": 305},
        problems={"via.no-class": 1},
    ),
    *(
        Known(
            "via_cardamage",
            "via",
            {"train": 62, "val": 8},
            classes,
            annotations=pattern,
            lost={"images-not-listed": 8},  # those of the test
            problems=CARS_TWICE,
            notes={**CARS_UNLISTED, **more},
        )
        for pattern, classes, more in [
            ("via_region_data.json", DAMAGE, {}),
            ("car-damage-*.json", DAMAGE, {}),
            ("via_region_data.csv", DAMAGE, {"via.undefined": 2}),  # in both of the files
            ("*_multiclass.json", CAR_PARTS, {}),
        ]
    ),
    Known("via_receipts6", "coco", {"-": 6}, RECEIPT, annotations="*_coco.json"),
    Known("via_receipts6", "via", {"-": 6}, RECEIPT, annotations="*_json.json"),
    Known("via_receipts6", "via", {"-": 6}, RECEIPT, annotations="*.csv"),
    Known(
        "cvat_ls_pexels",
        "cvat",
        {"-": 13},
        CATS,
        annotations="*.xml",
        lost=ABSENT,
        problems={"image.missing": 1, "class.similar": 1},
    ),
    Known(
        "cvat_ls_pexels",
        "label-studio",
        {"-": 13},
        CATS,
        annotations="*.json",
        lost=ABSENT,
        problems={"image.missing": 1, "class.similar": 1, "image.name-mismatch": 13},
    ),
    Known(
        "createml_anpr",
        "createml",
        {"train": 245, "val": 70, "test": 35},
        {"license-plate": 455, "vehicle": 668},
    ),
    Known(
        "kitti3",
        "kitti",
        {"train": 3},
        {"Car": 2, "Cyclist": 1, "Misc": 1, "Pedestrian": 1, "Truck": 1},
        lost={"ignored-regions": 4},  # DontCare is no class
        problems={"kitti.ignored-regions": 1},
    ),
]

A_AND_B = {"a": 1, "b": 2}
TWO_AND_TWO = {"label_0": 2, "label_1": 2}
YOLO_PAIR = {"label_2": 1, "label_4": 1}
ONE_EACH = {"train": 1, "val": 1}
TWO_ONE = {"train": 2, "val": 1}
LEAK = {"split.leak": 1}  # all dummy images of a fixture are the same
MISMATCH = {"box.mask-mismatch": 1}  # a box of 2 pixels around a mask of 1
SPLIT_MISSING = {**LEAK, "yolo.split-missing": 1}  # data.yaml names a test that is not there
NOT_AREAS = {"shapes-points": 1, "shapes-polyline": 1}


def fixture(name: str, *args: str | Counts, **more: Counts) -> Known:
    return Known(f"tiny_datumaro_assets/assets/{name}", *args, **more)  # type: ignore[arg-type]


FIXTURES = [
    *(
        fixture(f"coco_dataset/{name}", "coco", ONE_EACH, A_AND_B, problems=MISMATCH, lost=lost)
        for name, lost in [
            ("coco", {"images-not-listed": 2}),  # two pictures of panoptic masks
            ("coco_instances", {}),
            ("coco_person_keypoints", {}),
            ("coco_roboflow", {}),
            ("mmdet_coco", {}),
        ]
    ),
    fixture("coco_dataset/coco_stuff", "coco", ONE_EACH, {"a": 1, "b": 1}, problems=MISMATCH),
    fixture("coco_dataset/coco_image_info", "coco", ONE_EACH, {}),
    fixture(
        "voc_dataset/voc_dataset1",
        "voc",
        {"train": 1, "test": 1},
        # the bicycle is only in the mask
        {"bicycle": 1, "cat": 1, "person": 1},
        lost={"object-parts": 1},
        problems=LEAK,
    ),
    fixture("voc_dataset/voc_dataset3", "voc", {"train": 1}, {"cat": 1}),
    fixture("yolo_dataset/strict", "yolo", {"train": 1}, YOLO_PAIR),
    fixture("yolo_dataset/annotations", "yolo", {"-": 1}, YOLO_PAIR),
    fixture("yolo_dataset/labels", "yolo", ONE_EACH, {"label_2": 2, "label_4": 2}, problems=LEAK),
    fixture(
        "labelme_dataset",
        "labelme-web",
        {"-": 1},
        dict.fromkeys(("window", "license plate", "o1", "q1", "b1", "m1", "hg"), 1),
    ),
    fixture(
        "cvat_dataset/for_images/export_project",
        "cvat",
        {"train": 2, "val": 2, "test": 2},
        {"label1": 6},
        lost={"shapes-polyline": 3, "shapes-points": 3},
        problems={"split.leak": 2, "cvat.no-area": 6},
    ),
    fixture(
        "cvat_dataset/for_images/export_task",
        "cvat",
        {"train": 2},
        {"label1": 1},
        lost={**NOT_AREAS, "objects-unreadable": 1},  # a polygon without a label
        problems={"cvat.bad-shape": 1, "cvat.no-area": 2},
    ),
    fixture(
        "cvat_dataset/for_video",
        "cvat",
        {"-": 3},
        {"II": 1},
        lost=NOT_AREAS,
        problems={"cvat.no-area": 2, "image.duplicate": 1},
    ),
    *(
        fixture(
            f"cityscapes_dataset/{name}",
            "masks",
            {"train": 1, "val": 1, "test": 2},
            classes,
            lost={"regions-of-stuff": 6},
            problems=LEAK,
        )
        for name, classes in [
            ("dataset", {"person": 1, "train": 1, "truck": 1}),
            ("train_dataset", {"person": 1, "train": 1, "truck": 2}),
        ]
    ),
    fixture(
        "open_images_dataset/v6",
        "openimages",
        {"train": 1, "test": 1},
        {"Generic label #0": 1, "Generic label #3": 1},
        lost={"images-not-listed": 2},  # no table has a box of theirs
        problems={"box.sub-pixel": 2, **MISMATCH},
    ),
    fixture(
        "datumaro_dataset/legacy",  # of whole images
        "datumaro",
        {"train": 2, "val": 1, "test": 1},
        {},
        lost={"shapes-label": 7},
        problems={"split.leak": 2, "datumaro.no-area": 3},
    ),
    fixture(
        "kitti_dataset/kitti_3d",
        "kitti",
        {"train": 1},
        {"Car": 1, "Truck": 1},
        lost={"ignored-regions": 1},
        problems={"box.outside": 2, "kitti.ignored-regions": 1},
    ),
    fixture(
        "kitti_dataset/kitti_detection",
        "kitti",
        {"train": 2},
        {"Truck": 1, "Van": 4},
        problems={"image.duplicate": 1},
    ),
    fixture(
        "kitti_dataset/kitti_segmentation",
        "masks",
        {"train": 2},
        {"train": 1, "truck": 2},
        lost={"regions-of-stuff": 3},
        problems={"image.duplicate": 1},
    ),
    fixture("mot_dataset/mot_seq", "mot", {"-": 1}, {"label_2": 1}),
    fixture(
        "vott_csv_dataset/dataset",
        "csv",
        {"train": 2, "test": 2},
        {"helmet": 3, "person": 2},
        problems={"box.outside": 4, **LEAK},
    ),
    fixture(
        "vott_csv_dataset/dataset_with_meta_file",
        "csv",
        {"test": 2},
        {"helmet": 1, "person": 1},
        lost={"images-not-listed": 2},
        problems={"box.outside": 2, "image.duplicate": 1},
    ),
    *(
        fixture(f"roboflow_dataset/{name}", form, TWO_ONE, TWO_AND_TWO, problems=problems)
        for name, form, problems in [
            ("coco", "coco", LEAK),
            ("createml", "createml", {**LEAK, "box.out-of-bounds": 2}),
            ("voc", "voc", LEAK),
            ("yolo", "yolo", SPLIT_MISSING),
            ("yolo_obb", "yolo", SPLIT_MISSING),
        ]
    ),
    Known(
        "tiny_lsconverter/test_import_yolo_data",
        "yolo",
        {"-": 7},
        {"closed_door": 10, "opened_door": 1, "bus": 8, "number": 6},
    ),
    Known(
        "tiny_lsconverter/test_import_yolo_data_unif_dims",
        "yolo",
        {"-": 5},
        {"closed_door": 9, "bus": 6, "number": 4},
        notes={"class.unused": 1},
    ),
]


@pytest.mark.parametrize("known", REAL + FIXTURES, ids=str)
def test_what_is_there_and_what_is_wrong_with_it(shared: Path, known: Known) -> None:
    options = ReadOptions(annotations=known.annotations)
    read = read_dataset(shared / "data" / known.folder, options=options)
    assert read.format == known.format
    assert Counter(s.split or "-" for s in read.dataset.samples) == known.splits

    counts = {k: n for k, n in read.dataset.objects_per_class().items() if n}
    others = [n for name, n in counts.items() if name not in known.classes]
    assert {k: n for k, n in counts.items() if k in known.classes} == known.classes
    assert (len(others), sum(others)) == known.further
    assert read.report.lost == known.lost

    checked = check_dataset(read.dataset, reading=read)
    found = [*read.report.findings, *checked.findings]
    severe = Counter(f.code for f in found if f.severity != "info" and f.code not in SMALL)
    assert severe == known.problems
    noted = Counter(f.code for f in found if f.severity == "info")
    assert {code: noted[code] for code in known.notes} == known.notes


@pytest.mark.parametrize(
    ("folder", "annotations", "words"),
    [
        # which account to believe is not for us to choose
        ("via_cardamage", None, "2 accounts of the same images differ"),
        ("via_receipts6", None, "2 annotation formats are mixed"),
        ("cvat_ls_pexels", None, "2 annotation formats are mixed"),
        # not annotations but settings of VIA
        ("via_cardamage", "*_attributes.json", "no annotations found"),
        # the images are not there
        ("sly_demo1", None, "is missing; its 93 objects are lost"),
        ("tiny_datumaro_assets/assets/voc_dataset/voc_dataset2", None, "is missing"),
        ("tiny_datumaro_assets/assets/mot_dataset/mot_seq_with_seqinfo", None, "no image"),
        ("tiny_lsconverter/test_export_yolo", None, "is missing"),
        # classes of whole images, without boxes or masks
        ("tiny_datumaro_assets/assets/coco_dataset/coco_labels", None, "neither bbox nor"),
        # formats that nothing here reads, some of them JSON as others are
        *(
            (f"tiny_datumaro_assets/assets/{name}", None, "no annotations found")
            for name in (
                "camvid_dataset",
                "coco_dataset/coco_captions",
                "coco_dataset/coco_panoptic",
                "common_semantic_segmentation_dataset/dataset",
                "kitti_dataset/kitti_raw",
                "mapillary_vistas_dataset",
                "open_images_dataset/v5",
                "roboflow_dataset/multiclass",
                "roboflow_dataset/tfrecord",
                "segment_anything_dataset",
                "vott_json_dataset/dataset",
                "widerface_dataset",
            )
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    shared: Path, folder: str, annotations: str | None, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_dataset(shared / "data" / folder, options=ReadOptions(annotations=annotations))
    assert caught.value.hint
