"""What the two ends of an image file tell, held against Pillow and OpenCV."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Size
from detect_tl.core.image_header import header_of, read_header
from detect_tl.core.images import decode_image, read_image

_ORIENTATION = 0x0112


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_image_as_a_person_sees_it(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    upright = Size(20, 40) if orientation >= 5 else Size(40, 20)
    header = read_header(path)
    assert header.size == upright
    assert header_of(path.read_bytes()) == header
    assert np.array_equal(decode_image(path.read_bytes()), read_image(path))
    if suffix == ".jpg":
        height, width = cv2.imread(str(path)).shape[:2]
        assert (width, height) == upright
        assert header.orientation == orientation


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError, match="image"):
        read_header(path)
    with pytest.raises(DataError, match="image"):
        header_of(data)
    with pytest.raises(DataError, match="image"):
        decode_image(data)
    with pytest.raises(DataError, match="missing"):
        read_header(tmp_path / "b.jpg")


def test_an_image_that_declares_a_billion_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.bmp"
    Image.new("1", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    path.write_bytes(data)
    with pytest.raises(DataError, match="readable"):
        read_header(path)
    with pytest.raises(DataError, match="readable"):
        header_of(path.read_bytes())


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("comment", [b"", b"x" * 9000])
def test_the_size_of_a_plain_jpeg(tmp_path: Path, comment: bytes, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (301, 77)).save(path, comment=comment, progressive=progressive)
    header = read_header(path)
    assert header.size == Size(301, 77)
    assert header.length == path.stat().st_size
    assert (header.complete, header.appendix, header.orientation) == (True, False, 1)


def test_a_png_turned_by_exif_behind_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (300, 200), np.uint8)
    Image.fromarray(noise).save(path)
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + data
    framed = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    whole = path.read_bytes()
    path.write_bytes(whole[:-12] + framed + whole[-12:])
    assert Image.open(path).getexif()[_ORIENTATION] == 6
    assert read_header(path).size == Size(300, 200)


def test_texts_in_a_png_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngInfo()
    info.add_text("Software", "a paint program")
    Image.new("P", (20, 10)).save(path, pnginfo=info)
    assert read_header(path).size == Size(20, 10)


def test_ends_that_are_missing_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((64, 64), 90).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    assert not read_header(path).complete
    path.write_bytes(whole + b"maker note" * 500)
    header = read_header(path)
    assert header.complete
    assert header.appendix
    path.write_bytes(whole + b"\0" * 40)
    assert read_header(path).complete


def test_equal_files_have_equal_checksums(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    Image.effect_noise((64, 64), 90).save(a)
    b.write_bytes(a.read_bytes())
    c.write_bytes(a.read_bytes()[:-3] + b"\1\xff\xd9")
    assert read_header(a).checksum == read_header(b).checksum != read_header(c).checksum


@pytest.mark.parametrize("data", [b"\xff\xd8" + b"\xff" * 300_000, b"\x89PNG\r\n\x1a\n" * 9])
def test_made_up_files_end_soon(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError, match="image"):
        read_header(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_and_a_folder_are_no_images(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "a.jpg", tmp_path / "b.jpg"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        with pytest.raises(DataError, match="ordinary"):
            read_header(path)


def test_real_images_agree_with_pillow(shared: Path) -> None:
    images = [p for p in sorted((shared / "data").rglob("*")) if p.suffix.lower() in _SUFFIXES][::7]
    for path in images:
        try:
            with Image.open(path) as image:
                image.load()
                stored, turn = Size(*image.size), image.getexif().get(_ORIENTATION, 1)
        except OSError:
            continue
        header = read_header(path)
        assert header.orientation == turn
        upright = Size(stored.height, stored.width) if turn >= 5 else stored
        assert header.size == upright, path
    assert len(images) > 100


_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
