"""Laws for what every reader on offer makes of files that are meant to do harm."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detect_tl.core.errors import DataError, DetectTLError
from detect_tl.formats.base import format_names
from detect_tl.formats.detect import ReadResult
from tests.formats.guards import bounded
from tests.formats.makers import coco, image, labelme, read, text
from tests.formats.seeds import SEEDS, packed, png, texts_of
from tests.formats.test_fuzz import assert_sound

NAMES = [name for name in format_names() if name in SEEDS]
DEEP = 100_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def seeded(folder: Path, name: str) -> list[Path]:
    """Write the seed of a format and give its annotation files, as far as they are text."""
    SEEDS[name](folder)
    return texts_of(folder)


def read_or_refuse(folder: Path, name: str | None = None) -> ReadResult | None:
    """Read within bounds; None when the reader refuses, which it must do by a DetectTLError."""
    try:
        with bounded():
            result = read(folder, name)
    except DetectTLError as error:
        assert len(str(error)) < 20_000  # noqa: PT017 - a message, not the file over again
        return None
    assert_sound(result)
    return result


@pytest.mark.parametrize(
    "wanted",
    [
        "../secret.jpg",
        "../../secret.jpg",
        "set/../../secret.jpg",
        "..\\secret.jpg",
        "{root}/secret.jpg",
        "file://{root}/secret.jpg",
        "..%2Fsecret.jpg",
        "/etc/passwd",
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_names_lead_to_no_image_outside(tmp_path: Path, name: str, wanted: str) -> None:
    image(tmp_path / "secret.jpg")
    root = tmp_path / "set"
    evil = wanted.format(root=tmp_path)
    for path in seeded(root, name):
        content = path.read_text("utf-8").replace("a.jpg", evil.replace("\\", "\\\\"))
        path.write_text(re.sub(r"(?m)^a,", lambda _: f"{evil},", content), "utf-8")
        if path.stem.startswith("a"):
            text(root / path.name.replace("a", "..%2Fsecret", 1), content)
    result = read_or_refuse(root, name)
    allowed = [
        root.resolve(),
        Path(os.environ["XDG_CACHE_HOME"], "detect-tl", "unpacked").resolve(),
    ]
    for sample in result.dataset.samples if result else ():
        assert any(sample.image.resolve().is_relative_to(folder) for folder in allowed)


@pytest.mark.parametrize("name", NAMES)
def test_pipes_beside_annotations_are_not_waited_for(tmp_path: Path, name: str) -> None:
    seeded(tmp_path, name)
    helpers = "labels.txt classes.txt labelmap.txt obj.names seqinfo.ini meta.json data.yaml a.txt"
    masks = "SegmentationObject/a.png SegmentationClass/a.png masks/a.png ImageSets/Main/train.txt"
    for folder in {tmp_path, *(p.parent for p in texts_of(tmp_path))}:
        for helper in (*helpers.split(), *masks.split(), "class-descriptions.csv", "pipe.jpg"):
            path = folder / helper
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                os.mkfifo(path)
    result = read_or_refuse(tmp_path, name)
    assert result is not None
    assert len(result.dataset) == 2


@pytest.mark.parametrize("number", ["1000000000", "1000000000000000000", "1e300", "-7", "NaN"])
@pytest.mark.parametrize("name", NAMES)
def test_every_number_out_of_all_proportion(tmp_path: Path, name: str, number: str) -> None:
    """Sizes of images, run lengths, coordinates and ids alike."""
    for path in seeded(tmp_path, name):
        content = path.read_text("utf-8")
        path.write_text(re.sub(r'(?<![\w."])\d+(\.\d+)?(?![\w.])', number, content), "utf-8")
    read_or_refuse(tmp_path, name)


@pytest.mark.parametrize("number", ["30000", "1000000000"])
@pytest.mark.parametrize("name", NAMES)
def test_images_declared_larger_than_any(tmp_path: Path, name: str, number: str) -> None:
    for path in seeded(tmp_path, name):
        content = path.read_text("utf-8")
        path.write_text(re.sub(r"(?<![\w.])(100|80)(?![\w.])", number, content), "utf-8")
    read_or_refuse(tmp_path, name)


@pytest.mark.parametrize("name", NAMES)
def test_nesting_without_end(tmp_path: Path, name: str) -> None:
    """In the place of any value, one at a time: the recursion of a parser has an end."""
    for path in seeded(tmp_path, name):
        if path.suffix not in (".json", ".xml"):
            continue
        whole = path.read_text("utf-8")
        deep = {
            ".json": ["[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP],
            ".xml": ["<a>" * DEEP, "<a>" * DEEP + "</a>" * DEEP],
        }[path.suffix]
        places = [m.span() for m in re.finditer(r"(?<=[: >])\d+(?=[,}<\]])", whole)] or [(0, 0)]
        for nest in deep:
            for start, stop in (places[0], places[-1], (0, len(whole))):
                path.write_text(whole[:start] + nest + whole[stop:], "utf-8")
                read_or_refuse(tmp_path, name)
        path.write_text(whole, "utf-8")


BOMBS = {
    "laughs": '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>",
    "quadratic": f'<!DOCTYPE a [<!ENTITY i "{"a" * 100_000}">]>',
    "file": '<!DOCTYPE a [<!ENTITY i SYSTEM "file:///etc/passwd">]>',
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("name", ["voc", "cvat"])
def test_entities_in_xml_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    for path in seeded(tmp_path, name):
        body = path.read_text("utf-8").replace("cat", "&i;" * 1000)
        path.write_text(f"{BOMBS[kind]}{body}", "utf-8")
    with bounded(), pytest.raises(DataError, match=r"entities|DOCTYPE|refused|broken XML"):
        read(tmp_path, name)


def run_lengths(counts: Any, size: list[int]) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
        segmentation = {"counts": counts, "size": size}
        coco(root / "a.json", [(1, "a.jpg")], [{**box, "segmentation": segmentation}])

    return write


def embedded(**more: Any) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        shape = {"label": "cat", "points": [[0, 0], [99, 79]], "shape_type": "mask", **more}
        labelme(root / "a.json", "a.jpg", [shape])

    return write


def outline(count: int) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        points = [[k % 100, k % 79] for k in range(count)]
        labelme(root / "a.json", "a.jpg", [{"label": "cat", "points": points}])

    return write


def huge_png(side: int) -> bytes:
    """A picture of a few bytes that declares `side` x `side` pixels."""
    data = bytearray(png(1, 1))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "write",
    [
        run_lengths([10**18], [10**9, 10**9]),
        run_lengths([0, 9 * 10**8], [30_000, 30_000]),
        run_lengths([1] * 8000, [80, 100]),
        run_lengths("o" * 5_000_000, [80, 100]),
        run_lengths("0" * 1_000_000, [80, 100]),
        embedded(mask=packed(huge_png(60_000))),
        embedded(mask=packed(zlib.compress(bytes(100_000_000)))),
        embedded(mask="A" * 20_000_000),
        outline(1_000_000),
    ],
    ids=lambda write: write.__qualname__.partition(".")[0],
)
def test_masks_that_would_fill_the_memory(tmp_path: Path, write: Callable[[Path], object]) -> None:
    image(tmp_path / "a.jpg")
    write(tmp_path)
    read_or_refuse(tmp_path)


@pytest.mark.parametrize("side", [20_000, 100_000, 2**31 - 1])
def test_pictures_that_would_fill_the_memory(tmp_path: Path, side: int) -> None:
    image(tmp_path / "b.jpg")
    (tmp_path / "a.jpg").write_bytes(huge_png(side))
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    coco(tmp_path / "a.json", [(1, "a.jpg"), (2, "b.jpg")], [box])
    result = read_or_refuse(tmp_path)
    assert result is not None
    assert len(result.dataset) + result.report.lost["images"] == 2
