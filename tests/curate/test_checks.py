"""The list of checks, choosing among them, running them, and what they say of whole sets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Size
from detect_tl.core.progress import Silent
from detect_tl.curate.checks import (
    CHECKS,
    Limits,
    Selection,
    check_dataset,
    consequence_of,
    drop_unusable,
    find_checks,
)
from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.run import run_check
from detect_tl.curate.checks.snapshot import Snapshot, snapshot_of
from detect_tl.formats.base import format_names
from tests.formats.makers import image
from tests.formats.worlds import World, worlds

SIZE = Size(100, 80)
GOOD = Box(10, 10, 30, 30)


def sample(name: str, *items: Instance, split: str | None = None) -> Sample:
    return Sample(Path(f"{name}.jpg"), SIZE, items, split, Path(f"{name}.xml"))


def dataset(*samples: Sample, names: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    return Dataset(tuple(map(Category, names)), samples)


def found(made: Dataset, *only: str) -> dict[str, int]:
    return check_dataset(made, decode=False, selection=Selection(only)).by_code()


def test_every_check_says_what_it_looks_for_and_what_comes_of_it() -> None:
    ids = [each.id for each in CHECKS]
    assert ids == sorted(set(ids))
    for each in CHECKS:
        assert re.fullmatch(r"[a-z]+\.[a-z-]+", each.id)
        assert each.severity in ("error", "warning", "info")
        assert each.what[0].isupper()
        assert not each.what.endswith(".")
        assert each.consequence.endswith(".")
        for name in each.limits:
            value, reason = Limits.describe(name)
            assert value[0].isdigit()
            assert reason


def test_every_threshold_belongs_to_a_check() -> None:
    used = {name for each in CHECKS for name in each.limits}
    assert used == set(Limits.__dataclass_fields__)


def test_what_readers_notice_can_be_chosen_and_is_explained(repository: Path) -> None:
    """Under the name of a format, or under an id that is listed with what comes of it."""
    written = {
        code
        for path in (repository / "detect_tl" / "formats").rglob("*.py")
        for code in re.findall(r'"([a-z][a-z-]*\.[a-z][a-z-]+)"', path.read_text("utf-8"))
        if not re.search(r"\.(jpg|png|json|txt|xml|yaml|csv|names|ini|jsonl)$", code)
    }
    assert {"voc.bad-object", "source.link-out", "image.missing"} <= written
    of_formats = {code for code in written if code.partition(".")[0] in format_names()}
    assert {code for code in written - of_formats if not consequence_of(code)} == set()


@pytest.mark.parametrize(
    ("only", "skip", "wanted", "unwanted"),
    [
        ((), (), ["box.tiny", "voc.bad-object"], []),
        (("box",), (), ["box.tiny"], ["class.few", "voc.bad-object"]),
        (("box.",), ("box.tiny",), ["box.duplicate"], ["box.tiny", "class.few"]),
        (("box.duplicate", "class"), (), ["box.duplicate", "class.few"], ["box.near-duplicate"]),
        ((), ("coco", "class.few"), ["class.unused"], ["coco.bad-object", "class.few"]),
        (("coco.bad-object",), (), ["coco.bad-object"], ["coco.bad-image"]),
    ],
)
def test_choosing(
    only: tuple[str, ...], skip: tuple[str, ...], wanted: list[str], unwanted: list[str]
) -> None:
    selection = Selection(only, skip)
    assert all(map(selection.wants, wanted))
    assert not any(map(selection.wants, unwanted))
    run = {each.id for each in selection.checks()}
    assert run == {each.id for each in CHECKS if each.look and selection.wants(each.id)}


@pytest.mark.parametrize(
    ("word", "hint"), [("box.tin", "box.tiny"), ("bax", "box"), ("image.trunctated", "truncated")]
)
def test_unknown_checks_are_refused_with_a_suggestion(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match="there is no check") as caught:
        Selection((), (word,))
    assert hint in caught.value.hint
    with pytest.raises(UsageError):
        find_checks(word)


@check("test.fragile", "warning", "Nothing.")
def fragile(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A check that fails in the middle."""
    yield Note(f"{len(snapshot.samples)} images, {limits.imgsz} pixels")
    raise ZeroDivisionError("by accident")


def test_a_check_that_fails_is_a_finding_and_keeps_what_it_found() -> None:
    first, second = run_check(fragile, snapshot_of(dataset(sample("a"))), Limits())
    assert str(first) == "1 images, 640 pixels [test.fragile]"
    assert (second.code, second.severity) == ("check.crashed", "error")
    assert "test.fragile failed: ZeroDivisionError: by accident" in second.message


def test_a_data_set_without_anything_passes() -> None:
    assert not check_dataset(Dataset((), ())).findings


def test_no_check_crashes_on_odd_numbers(tmp_path: Path) -> None:
    odd = (0.0, -1e300, float("inf"), float("nan"), 1e300)
    corners = zip(odd, odd[1:], odd[2:], odd, strict=False)
    items = [Instance(k, Box(*values)) for k, values in enumerate(corners)]
    made = dataset(*(Sample(image(tmp_path / "a.jpg"), size, items) for size in ((0, 0), SIZE)))
    made = dataset(*(Sample(s.image, Size(*s.size), s.instances) for s in made.samples))
    codes = check_dataset(made).by_code()
    assert "check.crashed" not in codes
    assert codes["box.not-finite"] == 6


def test_backgrounds() -> None:
    empty, missing = sample("a"), Sample(Path("b.jpg"), SIZE)
    full = sample("c", Instance(0, GOOD))
    assert found(dataset(empty, missing, full), "annotation") == {
        "annotation.empty": 1,
        "annotation.missing": 1,
        "annotation.mostly-empty": 1,
    }
    assert found(dataset(empty, full, full), "annotation.mostly-empty") == {}


def row(count: int) -> tuple[Instance, ...]:
    return tuple(Instance(0, Box(k, 0, k + 5, 5)) for k in range(count))


def test_images_with_far_more_or_fewer_objects_than_the_others() -> None:
    usual = [sample(f"u{k}", *row(18 + k % 5)) for k in range(30)]
    assert found(dataset(*usual), "annotation.density") == {}
    made = dataset(*usual, sample("many", *row(90)), sample("few", *row(1)))
    report = check_dataset(made, decode=False, selection=Selection(("annotation.density",)))
    assert [f.path for f in report.findings] == [Path("many.xml"), Path("few.xml")]
    # a few images are no crowd
    assert found(dataset(*usual[:10], sample("many", *row(90))), "annotation.density") == {}


@pytest.mark.parametrize(
    ("items", "count"),
    [
        ((Instance(0, GOOD),), 1),
        ((Instance(0, Box(0, 0, 100, 80)),), 0),  # a box around the whole image says nothing
        ((Instance(0, Box(0, 0, 50, 80)), Instance(1, Box(50, 0, 100, 80))), 1),
        ((), 0),
    ],
)
def test_objects_taken_over_from_another_image(
    tmp_path: Path, items: tuple[Instance, ...], count: int
) -> None:
    paths = [image(tmp_path / f"{name}.png") for name in "abc"]
    paths[2].write_bytes(paths[0].read_bytes())  # the same picture may have the same objects
    made = dataset(*(Sample(path, SIZE, items, None, path) for path in paths))
    assert found(made, "annotation.inherited") == ({"annotation.inherited": count} if count else {})
    moved = [Instance(i.category, Box(*(v + 1 for v in i.box))) for i in items]
    other = dataset(made.samples[0], Sample(paths[1], SIZE, moved))
    assert found(other, "annotation.inherited") == {}


def test_classes_and_images_left_out_of_splits() -> None:
    a, b = Instance(0, GOOD), Instance(1, GOOD)
    made = dataset(
        sample("1", a, split="train"), sample("2", b, split="val"), sample("3", split=None)
    )
    assert found(made, "split") == {
        "split.class-not-trained": 1,
        "split.class-not-measured": 1,
        "split.unassigned": 1,
    }
    undivided = dataset(*(Sample(s.image, s.size, s.instances) for s in made.samples))
    assert found(undivided, "split") == {}


def damaged(path: Path, kind: str) -> Path:
    """An image file that is damaged in one way."""
    target = image(path / f"{kind}.{'png' if 'png' in kind else 'jpg'}", (400, 300))
    data = target.read_bytes()
    if kind == "missing":
        target.unlink()
    elif kind == "empty":
        target.write_bytes(b"")
    elif kind == "text":
        target.write_text("no pixels")
    elif kind.startswith("cut"):
        target.write_bytes(data[: len(data) * 2 // 3])
    return target


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("whole", ""),
        ("whole-png", ""),
        ("missing", "image.missing"),
        ("empty", "image.unreadable"),
        ("text", "image.unreadable"),
        ("cut", "image.truncated"),
        ("cut-png", "image.truncated"),
    ],
)
def test_image_files(tmp_path: Path, kind: str, code: str) -> None:
    made = dataset(Sample(damaged(tmp_path, kind), Size(400, 300), (Instance(0, GOOD),)))
    for decode in (True, False):
        errors = check_dataset(made, decode=decode).of("error")
        assert [f.code for f in errors] == ([code] if code else [])
    report = Report()
    left = drop_unusable(made, report, Silent())
    assert len(left) == (0 if code else 1)
    assert report.lost == ({"images": 1, "objects-without-image": 1} if code else {})
    assert report.count(code) == (1 if code else 0)


def test_damage_in_the_middle_is_found_by_decoding(tmp_path: Path) -> None:
    path = image(tmp_path / "a.png", (400, 300))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    made = dataset(Sample(path, Size(400, 300)))
    assert check_dataset(made).count("image.truncated") == 1
    assert check_dataset(made, decode=False).count("image.truncated") == 0


@given(world=worlds(masked=True) | worlds(masked=False))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_sound_data_sets_have_no_errors(tmp_path: Path, world: World) -> None:
    made = world.put(tmp_path)
    report = check_dataset(made, decode=False, selection=Selection((), ("split.leak",)))
    assert not list(report.of("error"))
    assert not {"box.mask-mismatch", "box.out-of-bounds", "mask.out-of-bounds"} & set(
        report.by_code()
    )
