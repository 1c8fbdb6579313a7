"""The procedural worlds: same seed, same bytes; labels that fit what is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tools.worlds import hardware, sample_set, toy_scene, toys
from tools.worlds.labelme import document, outlines, shapes
from tools.worlds.mess import encode, make_messy
from tools.worlds.sample_video import film, set_stage
from tools.worlds.scene import Thing
from tools.worlds.shade import Light, Pose, render


def _same(a: sample_set.Record, b: sample_set.Record) -> bool:
    return (a.jpeg, a.document) == (b.jpeg, b.document)


@pytest.mark.parametrize("index", [0, 7, 21])
def test_a_picture_and_its_document_follow_from_seed_and_number(index: int) -> None:
    first, second = (sample_set.record(2024, index) for _ in range(2))
    assert _same(first, second)
    assert not _same(first, sample_set.record(2025, index))


def test_a_second_writing_gives_the_same_bytes_and_removes_stale_files(tmp_path: Path) -> None:
    records = [sample_set.record(5, i) for i in range(3)]
    sample_set.write(tmp_path / "a", records, [], 5)
    sample_set.write(tmp_path / "b", [*records, sample_set.record(5, 3)], [], 5)
    sample_set.write(tmp_path / "b", [sample_set.record(5, i) for i in range(3)], [], 5)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert files == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*.*"))
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", [*hardware.HARDWARE])
def test_every_category_renders_inside_its_patch(name: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng([seed, len(name)])
        pose = Pose(200, 150, 60, turn=seed, squash=0.7, lean=1.5)
        sprite = render(hardware.piece(name, rng), pose, Light((0.3, 0.4, 0.86)), rng)
        assert sprite.alpha.max() == 1.0
        border = [sprite.alpha[0], sprite.alpha[-1], sprite.alpha[:, 0], sprite.alpha[:, -1]]
        assert max(float(edge.max()) for edge in border) == 0.0
        assert np.isfinite(sprite.rgb).all()


def test_the_two_worlds_share_no_category() -> None:
    assert not set(toys.TOYS) & set(hardware.HARDWARE)


def test_toy_labels_lie_in_the_picture_and_repeat() -> None:
    picture, things = toy_scene.toy_picture(3, 2, 96)
    again, _ = toy_scene.toy_picture(3, 2, 96)
    assert np.array_equal(picture, again)
    lines = [line.split() for line in toy_scene.yolo_lines(things, 96)]
    assert lines
    for number, *values in lines:
        cx, cy, w, h = map(float, values)
        assert 0 <= int(number) < len(toys.TOYS)
        assert cx - w / 2 >= -1e-4
        assert cx + w / 2 <= 1 + 1e-4
        assert cy - h / 2 >= -1e-4
        assert cy + h / 2 <= 1 + 1e-4


@settings(max_examples=25, deadline=None)
@given(
    x=st.integers(0, 60), y=st.integers(0, 60), w=st.integers(6, 40), h=st.integers(6, 40),
    solid=st.booleans(),
)  # fmt: skip
def test_an_outline_has_the_extent_and_area_of_its_mask(
    x: int, y: int, w: int, h: int, solid: bool
) -> None:
    mask = np.zeros((100, 100), np.uint8)
    if solid:
        mask[y : y + h, x : x + w] = 1
    else:
        cv2.ellipse(mask, (x + w // 2, y + h // 2), (w // 2, h // 2), 0, 0, 360, 1, -1)
    (outline,) = outlines(mask.astype(bool))
    bx, by, bw, bh = cv2.boundingRect(mask)
    # within the tolerance of simplification plus half a subpixel
    assert np.allclose(outline.min(0), [bx, by], atol=1.1)
    assert np.allclose(outline.max(0), [bx + bw, by + bh], atol=1.1)
    area = cv2.contourArea(outline.astype(np.float32))
    assert area == pytest.approx(float(mask.sum()), rel=0.16)


def test_a_thing_in_two_parts_shares_one_group() -> None:
    mask = np.zeros((60, 90), bool)
    mask[10:50, 5:80] = True
    mask[:, 30:45] = False
    alone = np.zeros((60, 90), bool)
    alone[2:8, 2:20] = True
    things = [Thing("bracket", mask, 0.7, 0), Thing("washer", alone, 1.0, 1)]
    drawn = shapes(things, np.random.default_rng(0))
    assert [(s["label"], s["group_id"]) for s in drawn[:2]] == [("bracket", 0), ("bracket", 0)]
    assert [s["flags"] for s in drawn] == [{"occluded": True}, {"occluded": True}, {}]
    assert drawn[2]["group_id"] is None


def test_a_sideways_picture_reads_upright() -> None:
    picture = np.zeros((40, 64, 3), np.uint8)
    picture[:20] = 255
    jpeg = encode(picture, 95, sideways=True)
    data = np.frombuffer(jpeg, np.uint8)
    upright = cv2.imdecode(data, cv2.IMREAD_COLOR)
    stored = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert upright.shape == (40, 64, 3)
    assert stored.shape == (64, 40, 3)
    assert upright[:16].mean() > 250
    assert upright[24:].mean() < 5


def _plain_records(count: int) -> list[sample_set.Record]:
    """Records with documents good enough to be spoiled, without rendering anything."""
    mask = np.zeros((60, 90), bool)
    mask[20:40, 0:25] = True
    other = np.zeros((60, 90), bool)
    other[5:15, 40:70] = True
    things = [Thing("bracket", mask, 0.9, 0), Thing("wing-nut", other, 0.9, 1)]
    rng = np.random.default_rng(0)
    jpeg = encode(np.zeros((60, 90, 3), np.uint8), 80, sideways=False)
    return [
        sample_set.Record(f"p{i}", jpeg, 90, 60, document(f"p{i}.jpg", 90, 60, things, rng))
        for i in range(count)
    ]


def test_every_kind_of_mess_goes_into_a_file_of_its_own() -> None:
    clean, spoiled = _plain_records(24), _plain_records(24)
    done = make_messy(spoiled)
    assert len({m.file for m in done}) == len({m.kind for m in done}) == len(done)
    changed = [
        f"{a.name}.json" for a, b in zip(clean, spoiled, strict=True) if a.document != b.document
    ]
    assert sorted(changed) == sorted(m.file for m in done)


def test_mess_does_not_change_what_a_perfect_reader_counts() -> None:
    clean, spoiled = _plain_records(24), _plain_records(24)
    make_messy(spoiled)
    before, after = (sample_set.contents(r, [], 0)["objects"] for r in (clean, spoiled))
    assert before == after == {"bracket": 24, "hex-nut": 0, "washer": 0, "wing-nut": 24}


def test_a_set_too_small_for_the_mess_says_so() -> None:
    with pytest.raises(ValueError, match="make a larger set"):
        make_messy(_plain_records(3))


def test_the_film_repeats_and_its_boxes_stay_in_the_frame() -> None:
    def two() -> tuple[str, bytes]:
        rng = np.random.default_rng([1, 2])
        shots = list(film(set_stage(rng), 2, rng))
        return json.dumps([boxes for _, boxes in shots]), b"".join(p.tobytes() for p, _ in shots)

    boxes, pixels = two()
    assert (boxes, pixels) == two()
    for box in (b for frame in json.loads(boxes) for b in frame):
        x, y, w, h = box["bbox"]
        assert min(x, y) >= 0
        assert x + w <= 640
        assert y + h <= 360
        assert 0 < box["area"] <= w * h
