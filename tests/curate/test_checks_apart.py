"""Checking in parts finds, to the byte, what checking all at once finds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from detect_tl import api
from detect_tl.core.findings import Report
from detect_tl.core.parallel import spread_by
from detect_tl.core.progress import Silent
from detect_tl.curate.checks import CHECKS, Limits, apart
from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.run import look_up, run_check
from detect_tl.curate.checks.snapshot import Snapshot, snapshot_of
from detect_tl.formats.base import Sharding
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.webdataset.write import sharded
from tests.curate.messy import messy
from tests.formats.makers import image, voc, voc_object

SETS = [
    "coco_coco128_0hye",
    "coco_cvat_carinterior6",
    "coco_fruitnuts",
    "coco_rf_rbc",
    "kitti3",
    "labelme_fruitnuts",
    "via_balloon",
    "voc_bccd/BCCD",
    "voc_cvat_fruit9",
]


def through_bytes(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """Compute tasks as another machine does: they arrive as bytes, and so do their results."""
    for task in tasks:
        there = pickle.loads(pickle.dumps((function, task)))  # noqa: S301
        yield pickle.loads(pickle.dumps(there[0](there[1])))  # noqa: S301


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_DECODED_TOGETHER", 7)
    monkeypatch.setattr(apart, "_TOGETHER", 7)


def assert_same(data: Path, **options: Any) -> dict[str, Any]:
    here = api.check(data, **options).as_json()
    with spread_by(through_bytes):
        there = api.check(data, **options).as_json()
    assert orjson.dumps(there) == orjson.dumps(here)
    return here


def in_shards(data: Path, folder: Path, images: int = 9) -> Path:
    """The data set as it is, good and bad, in shards."""
    dataset = read_dataset(data).dataset
    samples = tuple(replace(s, split=s.split or "train") for s in dataset.samples)
    folder.mkdir()
    whole = replace(dataset, samples=samples)
    sharded(whole, folder, Report(), "detect", Sharding(images=images))
    return folder


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decode", [True, False])
def test_everything_that_can_be_wrong(tmp_path: Path, seed: int, *, decode: bool) -> None:
    data = messy(tmp_path / "in", seed)
    found = assert_same(data, decode=decode)
    assert len(found["report"]["findings_by_code"]) > 15
    shards = in_shards(data, tmp_path / "shards")
    again = assert_same(shards, decode=decode)
    assert len(again["report"]["findings_by_code"]) > 15


@pytest.mark.parametrize("name", SETS)
def test_real_sets(shared: Path, tmp_path: Path, name: str) -> None:
    data = shared / "data" / name
    assert_same(data)
    assert_same(in_shards(data, tmp_path / "shards"))


def test_a_real_set_with_images_that_are_not_listed(shared: Path) -> None:
    found = assert_same(shared / "data/via_cardamage", annotations="via_region_data.json")
    assert found["report"]["findings_by_code"]["split.unlisted-leak"] == 1


@pytest.mark.parametrize("only", [["box"], ["split"], ["image.near-duplicate"], ["class", "mask"]])
def test_a_selection(tmp_path: Path, only: list[str]) -> None:
    data = messy(tmp_path / "in", 7)
    assert_same(data, only=only)
    assert_same(in_shards(data, tmp_path / "shards"), only=only)


def test_the_page_shows_outlines_all_the_same(tmp_path: Path) -> None:
    data = in_shards(messy(tmp_path / "in", 3), tmp_path / "shards")
    here, there = tmp_path / "here.html", tmp_path / "there.html"
    api.check(data, page=here)
    with spread_by(through_bytes):
        api.check(data, page=there)
    assert here.read_bytes() == there.read_bytes()


def test_an_image_that_two_shards_describe(tmp_path: Path) -> None:
    """It lies beside them, so that both mean the same file."""
    for name in ("a", "b"):
        image(tmp_path / f"in/{name}.jpg")
        voc(tmp_path / f"in/{name}.xml", f"{name}.jpg", voc_object("cat", 10, 20, 30, 40))
    dataset = read_dataset(tmp_path / "in").dataset
    beside = tmp_path / "out/images/train"
    beside.mkdir(parents=True)
    samples = []
    for sample in (*dataset.samples, dataset.samples[0]):
        place = beside / sample.image.name
        place.write_bytes(sample.image.read_bytes())
        samples.append(replace(sample, image=place, split="train"))
    double = replace(dataset, samples=tuple(samples))
    sharded(double, tmp_path / "out", Report(), "detect", Sharding(images=1))
    found = assert_same(tmp_path / "out")
    assert found["images"] == 2
    assert found["report"]["changed"]["repeated-annotations-merged"] == 1


def test_damaged_shards(tmp_path: Path) -> None:
    shards = in_shards(messy(tmp_path / "in", 5), tmp_path / "shards")
    first, second, *_ = sorted((shards / "shards").glob("*.tar"))
    first.write_bytes(first.read_bytes()[:9000])
    second.unlink()
    found = assert_same(shards)
    assert found["report"]["findings_by_code"]["webdataset.damaged"] == 1
    assert found["report"]["findings_by_code"]["webdataset.shard-missing"] == 1


def test_what_is_marked_as_of_one_image_needs_no_other(tmp_path: Path) -> None:
    """The mark is what parts rely on; a check that compares images must not carry it."""
    read = read_dataset(messy(tmp_path / "in", 11, count=60))
    whole = look_up(read.dataset, CHECKS, read, Silent(), decode=True)
    for each in CHECKS:
        if each.look is None or each.whole:
            continue
        together = list(run_check(each, whole, Limits()))
        alone = []
        for place, sample in enumerate(read.dataset.samples):
            one = snapshot_of(
                replace(read.dataset, samples=(sample,)),
                [whole.facts[place]],
                [whole.contents[place]],
                whole.turned,
            )
            alone += list(run_check(each, one, Limits()))
        assert alone == together, each.id


def test_a_check_that_fails_comes_no_further_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "CHECKS", (fails_at_ten,))
    monkeypatch.setattr("detect_tl.curate.checks.registry.CHECKS", (fails_at_ten,))
    for number in range(30):
        image(tmp_path / f"{number:02}.jpg")
        voc(tmp_path / f"{number:02}.xml", f"{number:02}.jpg", voc_object("cat", 1, 2, 30, 40))
    found = assert_same(tmp_path)
    assert found["report"]["findings_by_code"] == {"box.tiny": 10, "check.crashed": 1}


@check("box.tiny", "warning", "Nothing; it stands for a check that fails on some image.")
def fails_at_ten(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Every image before the eleventh."""
    del limits
    for sample in snapshot.samples:
        if sample.image.stem == "10":
            raise ValueError("ten")
        yield Note("seen", sample.image, sample.image)
