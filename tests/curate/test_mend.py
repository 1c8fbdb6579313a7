"""Thorough mending: outlines, boxes and masks, classes, image files; and what is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    bitmap_to_rle,
    mask_area,
    mask_box,
    ring,
)
from detect_tl.core.masks import draw_mask
from detect_tl.curate.checks import check_dataset
from detect_tl.curate.mend_classes import drop_placeholders, unite_classes
from detect_tl.curate.mend_frames import turn_upright
from detect_tl.curate.mend_images import plan_edits
from detect_tl.curate.mend_masks import valid_mask
from detect_tl.curate.mend_objects import Rules, mend_objects
from detect_tl.curate.placing import ImageEdit
from detect_tl.curate.repair import plan_mending
from detect_tl.curate.repair_folder import repair_folder
from detect_tl.formats.detect import read_dataset
from tests.formats.makers import image, text, voc, voc_object
from tests.formats.worlds import worlds

SIZE = Size(120, 90)
BOWTIE = [10, 10, 50, 50, 50, 10, 10, 50]
SQUARE = [10, 10, 40, 10, 40, 40, 10, 40]
STAR = [60, 5, 74, 70, 20, 28, 100, 28, 40, 70]  # a pentagram, its middle gone around twice
NOTHING = [3, 3, 9, 9, 6, 6]


def polygons(*rings: list[float], holes: tuple[list[float], ...] = ()) -> PolygonMask:
    return PolygonMask(tuple(map(ring, rings)), tuple(map(ring, holes)))


def test_a_sound_mask_stays_as_it_is() -> None:
    mask = polygons(SQUARE, [60, 60, 80, 60, 80, 80], holes=([20, 20, 30, 20, 30, 30],))
    assert valid_mask(mask, SIZE).mask is mask


def test_an_eight_becomes_its_two_halves() -> None:
    mended = valid_mask(polygons(BOWTIE), SIZE)
    assert mended.mask is not None
    assert (mended.crossing, mended.outside, mended.empty) == (1, 0, 0)
    assert sorted(mask_area(PolygonMask((part,))) for part in mended.mask.parts) == [400, 400]


def test_a_star_keeps_the_hole_that_it_was_drawn_with() -> None:
    before = polygons(STAR)
    after = valid_mask(before, SIZE).mask
    assert after is not None
    assert same_pixels(before, after) >= 0.97
    middle = draw_mask(after, SIZE)[40, 60]
    assert middle == draw_mask(before, SIZE)[40, 60] == 0


def test_a_hole_beside_other_parts_is_cut_away_and_not_named() -> None:
    """A named hole would be cut out of the other part, which fills it."""
    other = [50, 30, 70, 30, 70, 50, 50, 50]
    before = polygons(STAR, other)
    after = valid_mask(before, SIZE).mask
    assert after is not None
    assert not after.holes
    assert same_pixels(before, after) >= 0.97


def test_what_is_outside_is_cut_off_and_what_is_nothing_goes() -> None:
    mended = valid_mask(polygons([-20, 10, 20, 10, 20, 30, -20, 30], NOTHING), SIZE)
    assert mended.mask is not None
    assert (mended.crossing, mended.outside, mended.empty) == (0, 1, 1)
    assert mask_box(mended.mask) == Box(0, 10, 20, 30)
    assert mask_area(mended.mask) == 400
    assert valid_mask(polygons(NOTHING, [5, 5]), SIZE).mask is None


def same_pixels(a: PolygonMask, b: PolygonMask) -> float:
    one, two = draw_mask(a, SIZE), draw_mask(b, SIZE)
    return float((one & two).sum() / (one | two).sum())


coordinates = st.floats(-40, 160) | st.integers(-40, 160).map(float)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=8).map(
    lambda points: np.asarray(points, np.float64)
)


def enclosed(mask: PolygonMask) -> object:
    """What shapely takes the mask for, inside the image, by the even-odd rule."""
    import shapely

    def whole(parts: tuple[Ring, ...]) -> object:
        shapes = [shapely.make_valid(shapely.polygons(p)) for p in parts if len(p) >= 3]
        return shapely.union_all([shape for shape in shapes if shape.area > 0])

    cut = shapely.difference(whole(mask.parts), whole(mask.holes))
    return shapely.intersection(cut, shapely.box(0, 0, *SIZE))


@given(st.lists(rings, min_size=1, max_size=3), st.lists(rings, max_size=2))
@settings(max_examples=150, deadline=None)
def test_mended_outlines_are_sound_cover_the_same_and_stay(
    parts: list[Ring], holes: list[Ring]
) -> None:
    import shapely

    # on a coarse grid, where shapely's own answer to compare with is exact
    mask = PolygonMask(*(tuple(np.round(r * 8) / 8 for r in rings) for rings in (parts, holes)))
    mended = valid_mask(mask, SIZE).mask
    if mended is None:
        assert shapely.area(enclosed(PolygonMask(mask.parts))) < 0.01
        return
    for each in (*mended.parts, *mended.holes):
        assert shapely.is_valid(shapely.polygons(each))
        assert (each >= 0).all()
        assert (each <= SIZE).all()
    assert valid_mask(mended, SIZE).mask is mended
    off = shapely.symmetric_difference(enclosed(mask), enclosed(mended))
    assert shapely.area(off) < 1


@given(st.lists(rings, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_finite_numbers_can_be_mended(parts: list[Ring]) -> None:
    mended = valid_mask(PolygonMask(tuple(parts)), SIZE).mask
    assert mended is None or valid_mask(mended, SIZE).mask is mended


def mend(item: Instance) -> tuple[Instance | None, Report]:
    report = Report()
    sample = Sample(Path("a.jpg"), SIZE, (item,), None, Path("a.json"))
    found = mend_objects(sample, ["cat"], Rules(thorough=True), report).instances
    return (found[0] if found else None), report


def test_a_box_more_than_a_pixel_off_its_mask_is_taken_from_it() -> None:
    mask = polygons(SQUARE)
    near, report = mend(Instance(0, Box(9, 9, 41, 41), mask))
    assert near is not None
    assert near.box == Box(9, 9, 41, 41)
    assert not report.findings
    far, report = mend(Instance(0, Box(8, 9, 41, 41), mask))
    assert far is not None
    assert far.box == Box(10, 10, 40, 40)
    (finding,) = report.findings
    assert (finding.code, finding.image, finding.box) == (
        "box.mask-mismatch",
        Path("a.jpg"),
        Box(8, 9, 41, 41),
    )


def test_run_lengths_say_where_the_box_is_too() -> None:
    bitmap = np.zeros((90, 120), np.uint8)
    bitmap[20:30, 40:60] = 1
    mask = bitmap_to_rle(bitmap)
    found, report = mend(Instance(0, Box(0, 0, 100, 80), mask, iscrowd=True))
    assert found == Instance(0, Box(40, 20, 60, 30), mask, iscrowd=True)
    assert report.changed == {"boxes-taken-from-mask": 1}
    other_size = RleMask((4, 4, 4), Size(4, 3))
    left = Instance(0, Box(0, 0, 50, 50), other_size)
    assert mend(left) == (left, Report())


def test_a_mask_without_pixels_goes_and_its_box_stays() -> None:
    found, report = mend(Instance(0, Box(1, 1, 9, 9), RleMask((120 * 90,), SIZE)))
    assert found == Instance(0, Box(1, 1, 9, 9))
    assert report.changed == {"empty-masks-dropped": 1}


def test_classes_are_united_as_asked() -> None:
    categories = tuple(map(Category, ("Cat", "Cats", "dog")))
    items = tuple(Instance(k, Box(0, 0, 9, 9 + k)) for k in range(3))
    made = Dataset(categories, (Sample(Path("a.jpg"), SIZE, items),))
    report = Report()
    united = unite_classes(made, {"Cats": "Cat", "dog": "hound"}, report)
    assert united.objects_per_class() == {"Cat": 2, "hound": 1}
    assert report.changed == {"classes-united": 2}
    assert unite_classes(made, {}, report) is made
    with pytest.raises(UsageError, match="no class 'cats'"):
        unite_classes(made, {"cats": "Cat"}, report)


def test_only_a_class_that_stands_above_all_others_is_a_placeholder() -> None:
    above = (Category("cells", "none"), Category("rbc", "cells"), Category("wbc", "cells"))
    report = Report()
    assert drop_placeholders(Dataset(above, ()), report).names == ["rbc", "wbc"]
    assert report.changed == {"placeholder-classes-removed": 1}
    plain = Dataset((Category("a"), Category("b")), ())
    assert drop_placeholders(plain, Report()) == plain
    used = Dataset(above, (Sample(Path("a.jpg"), SIZE, (Instance(0, Box(0, 0, 1, 1)),)),))
    assert drop_placeholders(used, Report()) == used


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return path


@pytest.mark.parametrize(
    ("cut", "tail"),
    [(0, None), (1, b"\xd9"), (2, b"\xff\xd9"), (40, None), (2000, None)],
)
def test_only_a_jpeg_that_lacks_nothing_but_its_end_gets_one(
    photo: Path, cut: int, tail: bytes | None
) -> None:
    whole = photo.read_bytes()
    photo.write_bytes(whole[: len(whole) - cut])
    edits = dict(plan_edits([photo], Report()))
    assert edits == ({photo: ImageEdit(tail=tail)} if tail else {})
    if tail:
        assert photo.read_bytes() + tail == whole


def test_a_file_is_called_what_it_is(tmp_path: Path, photo: Path) -> None:
    names = {"a.png": "JPEG", "b.jpg": "PNG", "c.JPEG": "JPEG", "d.webp": "BMP"}
    paths = [tmp_path / name for name in names]
    for path, kind in zip(paths, names.values(), strict=True):
        Image.new("RGB", (20, 20)).save(path, format=kind)
    text(tmp_path / "e.jpg", "no image at all, but long enough to look like one")
    report = Report()
    edits = dict(plan_edits([*paths, photo], report))
    assert {path.name: edit.suffix for path, edit in edits.items()} == {
        "a.png": ".jpg",
        "b.jpg": ".png",
        "d.webp": ".bmp",
    }
    assert report.changed == {"extensions-corrected": 3}


def test_objects_drawn_on_the_stored_picture_are_turned_upright(tmp_path: Path) -> None:
    # stored 100x40 and shown turned, 40x100; the box fits the stored picture only
    path = image(tmp_path / "a.jpg", (100, 40), orientation=6)
    upright, box = Size(40, 100), Box(60, 10, 90, 20)
    mask = PolygonMask((np.asarray([[60, 10], [90, 10], [90, 20.0]]),))
    sample = Sample(path, upright, (Instance(0, box, mask),))
    report = Report()
    turned = turn_upright(sample, report)
    (item,) = turned.instances
    # turned by 90 degrees clockwise: x becomes y, and y counts from the right
    assert item.box == Box(20, 60, 30, 90)
    assert item.mask is not None
    assert mask_box(item.mask) == item.box
    assert report.changed == {"images-turned-upright": 1}
    assert turn_upright(turned, Report()) == turned


@pytest.mark.parametrize(
    ("orientation", "box"),
    [
        (1, Box(60, 10, 90, 20)),  # nothing to turn by
        (6, Box(5, 10, 30, 20)),  # fits both ways
        (6, Box(60, 10, 90, 95)),  # fits neither
    ],
)
def test_objects_without_one_right_frame_stay(tmp_path: Path, orientation: int, box: Box) -> None:
    path = image(tmp_path / "a.jpg", (100, 40), orientation=orientation)
    sample = Sample(path, Size(40, 100), (Instance(0, box),))
    assert turn_upright(sample, Report()) is sample


# What `check` must no longer name after repair says that it was mended.
MENDED = frozenset(
    "box.inverted box.out-of-bounds box.outside box.zero-area box.duplicate mask.zero-area "
    "mask.self-crossing mask.out-of-bounds mask.too-few-points box.mask-mismatch "
    "image.extension-lies image.exif-frame class.placeholder".split()
)


@st.composite
def bad_instances(draw: st.DrawFn) -> Instance:
    box = Box(*draw(st.tuples(*[coordinates] * 4)))
    parts = tuple(draw(st.lists(rings, max_size=3)))
    return Instance(draw(st.integers(0, 1)), box, PolygonMask(parts) if parts else None)


@given(st.lists(bad_instances(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_mended_is_named_no_more_and_stays_as_it_is(items: list[Instance]) -> None:
    sample = Sample(Path("a.jpg"), SIZE, tuple(items), "train")
    report = Report()
    once = mend_objects(sample, ["a", "b"], Rules(thorough=True), report)
    again = Report()
    assert mend_objects(once, ["a", "b"], Rules(thorough=True), again) == once
    assert not again.findings
    assert len(once.instances) + sum(report.lost.values()) == len(items)
    made = Dataset((Category("a"), Category("b")), (once,))
    named = set(check_dataset(made, decode=False).by_code())
    # objects of one box with different masks are two
    assert not named & (MENDED - {"box.duplicate"})


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Pascal VOC with a problem of each kind."""
    source = tmp_path / "source"
    whole = voc_object("cat", 10, 20, 30, 40)
    image(source / "a.jpg")
    voc(source / "a.xml", "a.jpg", voc_object("cat", 30, 20, 10, 40), whole, whole)
    image(source / "b.jpg")
    voc(source / "b.xml", "b.jpg", voc_object("Cats", 5, 5, 5, 9), voc_object("dog", 90, 5, 150, 9))
    Image.new("RGB", (100, 80), (9, 200, 30)).save(source / "c.jpg", format="PNG")
    voc(source / "c.xml", "c.jpg", whole)
    cut = image(source / "d.jpg")
    cut.write_bytes(cut.read_bytes()[:-2])
    voc(source / "d.xml", "d.jpg", whole)
    (source / "e.jpg").write_bytes((source / "a.jpg").read_bytes())
    voc(source / "e.xml", "e.jpg", voc_object("cat", 30, 20, 10, 40), whole, whole)
    return source


def test_a_folder_is_mended_and_says_what_was_done(damaged: Path, tmp_path: Path) -> None:
    made = repair_folder(damaged, tmp_path / "out", unite={"Cats": "cat"})
    assert made.written is not None
    assert made.plan.report.changed == {
        "boxes-turned-right": 2,
        "boxes-clipped": 1,
        "classes-united": 1,
        "extensions-corrected": 1,
        "end-marks-added": 1,
    }
    assert made.plan.report.lost["repeated-objects"] >= 2
    assert made.plan.report.lost["zero-area-boxes"] == 1
    assert made.plan.report.lost["repeated-images"] == 1
    written = made.written.dataset
    assert sorted(s.image.name for s in written.samples) == ["a.jpg", "b.jpg", "c.png", "d.jpg"]
    assert written.names == ["cat", "dog"]
    mended = set(made.plan.report.by_code())
    assert not mended & set(check_dataset(written).by_code()) & MENDED
    assert (tmp_path / "out/images/train/d.jpg").read_bytes().endswith(b"\xff\xd9")
    assert not (damaged / "d.jpg").read_bytes().endswith(b"\xff\xd9")


def test_a_plan_writes_nothing_and_says_the_same(damaged: Path, tmp_path: Path) -> None:
    plan = repair_folder(damaged, None).plan
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]
    done = repair_folder(damaged, tmp_path / "out")
    assert plan.report == done.plan.report
    assert plan.left == done.plan.left


def test_what_has_no_one_right_answer_is_left_and_listed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for split in ("train", "val"):
        image(source / split / "same.jpg")
        voc(source / split / "same.xml", "same.jpg", voc_object("cat", 10, 20, 30, 40))
    plan = repair_folder(source, None).plan
    assert len(plan.dataset) == 2
    assert plan.left.count("split.leak") == 1


def test_mending_twice_changes_nothing(damaged: Path, tmp_path: Path) -> None:
    first = repair_folder(damaged, tmp_path / "one")
    second = repair_folder(tmp_path / "one", tmp_path / "two")
    assert first.written is not None
    assert not second.plan.report.findings
    assert not second.plan.report.changed
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def tree(folder: Path) -> dict[str, bytes]:
    """All that a data set folder holds but its own story."""
    told = ("report.json", "report.html", "provenance.json")
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in told)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@given(world=worlds(masked=True))
@settings(max_examples=10, deadline=None)
def test_mending_twice_changes_nothing_whatever_is_in_it(
    world: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = world.put(tmp_path_factory.mktemp("world"))  # type: ignore[attr-defined]
    once = plan_mending(made).dataset
    again = plan_mending(once)
    assert again.dataset == once
    assert not again.report.findings


def test_the_boxes_of_a_real_set_come_back_to_their_outlines(shared: Path) -> None:
    plan = repair_folder(shared / "data/coco_cvat_carinterior6", None).plan
    assert plan.report.changed["boxes-taken-from-mask"] == 29
    for item in plan.dataset.instances():
        assert item.mask is not None
        assert tuple(item.box) == pytest.approx(tuple(mask_box(item.mask)), abs=1)
    assert not set(plan.left.by_code()) & MENDED


def test_real_sets_have_little_to_mend(shared: Path) -> None:
    bccd = plan_mending(read_dataset(shared / "data/voc_bccd").dataset)
    assert bccd.report.lost == {"zero-area-boxes": 2}
    assert not bccd.report.changed
    coco = read_dataset(shared / "data/coco_coco128_0hye").dataset
    plan = plan_mending(coco)
    assert not plan.report.lost
    assert set(plan.report.changed) <= {"outlines-made-simple", "boxes-taken-from-mask"}
    before = [replace(item, mask=None) for item in coco.instances()]
    after = [replace(item, mask=None) for item in plan.dataset.instances()]
    assert before == after
