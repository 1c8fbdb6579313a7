"""Images that are the same, byte for byte or to the eye."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageEnhance

from detect_tl.core.geometry import Size
from detect_tl.core.image_header import ImageHeader, read_header
from detect_tl.curate.duplicates import ALIKE, identical_groups, similar_groups
from detect_tl.curate.fingerprints import fingerprint
from detect_tl.curate.hamming import components
from tests.formats.makers import image


def partition(groups: list[object]) -> list[list[int]]:
    places: dict[object, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    return list(places.values())


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft blobs, as different from seed to seed as photos are."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def stored(path: Path, made: Image.Image, **options: int) -> Path:
    made.save(path, **options)
    return path


def test_identical_images(tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{name}.png") for name in "abcd"]
    paths[2].write_bytes(paths[0].read_bytes())
    data = bytearray(paths[1].read_bytes())
    data[30] ^= 1
    paths[3].write_bytes(data)  # as long as the second, and not the same
    expected = [[0, 2], [1], [3]]
    assert partition(identical_groups(paths)) == expected
    headers = [read_header(path) for path in paths[:3]]
    headers.append(ImageHeader(Size(100, 80), 1, True, False, len(data), 7))
    assert partition(identical_groups(paths, headers)) == expected
    assert partition(identical_groups(paths, [*headers[:3], None])) == expected


def test_copies_look_alike_and_other_pictures_do_not(tmp_path: Path) -> None:
    first, second = picture(1), picture(2)
    w, h = first.size
    crop = first.crop((int(w * 0.01), int(h * 0.01), int(w * 0.99), int(h * 0.99)))
    turned = Image.Exif()
    turned[0x0112] = 6
    sideways = first.transpose(Image.Transpose.ROTATE_90)
    sideways.save(tmp_path / "sideways.jpg", exif=turned)
    copies = [
        stored(tmp_path / "first.png", first),
        stored(tmp_path / "half.jpg", first.resize((w // 2, h // 2))),
        stored(tmp_path / "jpeg50.jpg", first, quality=50),
        stored(tmp_path / "square.png", first.resize((200, 200))),
        stored(tmp_path / "crop.png", crop),
        stored(tmp_path / "bright.png", ImageEnhance.Brightness(first).enhance(1.2)),
        stored(tmp_path / "dark.png", ImageEnhance.Brightness(first).enhance(0.6)),
        stored(tmp_path / "grey.png", first.convert("L")),
        tmp_path / "sideways.jpg",
    ]
    others = [stored(tmp_path / f"other{k}.png", picture(k)) for k in range(3, 13)]
    paths = [*copies, stored(tmp_path / "second.png", second), *others]
    expected = [list(range(len(copies))), *([k] for k in range(len(copies), len(paths)))]
    assert partition(similar_groups(paths)) == expected


def test_plain_and_broken_images_are_like_their_own_copies_only(tmp_path: Path) -> None:
    red = Image.new("RGB", (64, 48), (200, 0, 0))
    paths = [
        stored(tmp_path / "red.png", red),
        stored(tmp_path / "blue.png", Image.new("RGB", (64, 48), (0, 0, 200))),
        stored(tmp_path / "again.png", red),
        tmp_path / "text.jpg",
    ]
    paths[3].write_text("no pixels")
    assert partition(similar_groups(paths)) == [[0, 2], [1], [3]]


def test_deep_images_are_seen_too() -> None:
    grey = np.asarray(picture(5).convert("L"), dtype=np.uint16)
    deep, shallow = fingerprint(Image.fromarray(grey * 16)), fingerprint(picture(5))
    assert deep is not None
    assert shallow is not None
    assert (deep.coarse != shallow.coarse).sum() <= ALIKE


def brute(coarse: np.ndarray, fine: np.ndarray, most: int, finest: int) -> list[list[int]]:
    """The same groups, by comparing each with each."""
    labels = list(range(len(coarse)))
    for b in range(len(coarse)):
        for a in range(b):
            near = (coarse[a] != coarse[b]).sum() <= most and (fine[a] != fine[b]).sum() <= finest
            if near:
                labels = [labels[a] if label == labels[b] else label for label in labels]
    return partition(labels)


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 60),
    most=st.integers(0, 9),
    noise=st.sampled_from([0.02, 0.06, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_no_close_pair_is_missed(seed: int, count: int, most: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    centres = random.random((5, 64)) < 0.5
    coarse = centres[random.integers(0, 5, count)] ^ (random.random((count, 64)) < noise)
    fine = random.random((count, 256)) < 0.02
    for finest in (8 * most, 256):
        labels = components(coarse, fine, most, finest).tolist()
        assert partition(labels) == brute(coarse, fine, most, finest)


@pytest.mark.parametrize("count", [3000, 5000])
def test_a_film_of_frames_is_one_group(count: int) -> None:
    """More pairs than could be held: each frame is like each other."""
    random = np.random.default_rng(0)
    coarse = random.random((count, 64)) < 0.01
    fine = random.random((count, 256)) < 0.01
    alone = np.ones((1, 64), dtype=np.bool_)
    labels = components(np.vstack([coarse, alone]), np.vstack([fine, fine[:1]]), 8, 64)
    assert len(set(labels[:-1].tolist())) == 1
    assert labels[-1] != labels[0]


def test_blood_cells_look_alike_and_are_not(shared: Path) -> None:
    """364 fields of one microscope; the pair is one field, taken twice."""
    paths = sorted((shared / "data/voc_bccd/BCCD/JPEGImages").glob("*.jpg"))
    pairs = [group for group in partition(similar_groups(paths)) if len(group) > 1]
    assert [[paths[k].name for k in group] for group in pairs] == [
        ["BloodImage_00037.jpg", "BloodImage_00038.jpg"]
    ]


@pytest.mark.parametrize(
    "folder", ["coco_coco128_0hye/train2017", "createml_anpr", "via_balloon", "coco_fruitnuts"]
)
def test_real_photos_are_all_different(shared: Path, folder: str) -> None:
    paths = sorted((shared / "data" / folder).rglob("*.jpg"))
    assert max(map(len, partition(similar_groups(paths)))) == 1


def test_copies_of_real_photos_are_found(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "data/coco_coco128_0hye/train2017").glob("*.jpg"))[:6]:
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        w, h = photo.size
        data = io.BytesIO()
        photo.save(data, "JPEG", quality=20)
        rough = Image.open(data)
        copies = [
            path,
            stored(tmp_path / f"{path.stem}-half.jpg", photo.resize((w // 2, h // 2))),
            stored(tmp_path / f"{path.stem}-rough.jpg", rough),
            stored(tmp_path / f"{path.stem}-dark.jpg", ImageEnhance.Brightness(photo).enhance(0.6)),
            stored(tmp_path / f"{path.stem}-cut.jpg", photo.crop((w // 99, h // 99, w, h))),
        ]
        assert partition(similar_groups(copies)) == [[0, 1, 2, 3, 4]], path.name
