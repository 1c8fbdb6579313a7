"""Finding the image that an annotation means."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.formats.images import ImageIndex, Match, pair_left_over

ROOT = Path("/data")


def index(*names: str) -> ImageIndex:
    return ImageIndex([ROOT / name for name in names])


@pytest.mark.parametrize(
    ("files", "name", "found", "forgiven"),
    [
        (["a.jpg"], "a.jpg", "a.jpg", ""),
        (["images/a.jpg"], "a.jpg", "images/a.jpg", ""),
        (["a.jpg"], "deep/er/a.jpg", "a.jpg", ""),
        (["a.jpg"], "C:\\pictures\\a.jpg", "a.jpg", ""),
        (["one/a.jpg", "two/a.jpg"], "two/a.jpg", "two/a.jpg", ""),
        (["one/a.jpg", "two/a.jpg"], "data\\one\\a.jpg", "one/a.jpg", ""),
        (["A.JPG"], "a.jpg", "A.JPG", "case"),
        (["a.png"], "a.jpg", "a.png", "extension"),
        (["A.PNG"], "a.jpg", "A.PNG", "extension"),
        (["Mango.PNG"], "Mango_0.jpg", "Mango.PNG", "number"),
        # the exact name wins over the forgiving ones
        (["a.png", "a.jpg", "A.jpg"], "a.jpg", "a.jpg", ""),
        (["Mango.PNG", "Mango_0.png"], "Mango_0.jpg", "Mango_0.png", "extension"),
    ],
)
def test_names_lead_to_images(files: list[str], name: str, found: str, forgiven: str) -> None:
    assert index(*files).find([name]) == Match(ROOT / found, forgiven)


@pytest.mark.parametrize(
    ("files", "name"), [(["a.jpg"], "b.jpg"), (["a.jpg"], ""), ([], "a.jpg"), (["ab.jpg"], "a.jpg")]
)
def test_other_names_lead_nowhere(files: list[str], name: str) -> None:
    assert index(*files).find([name]) == Match()


def test_two_that_fit_equally_well_are_named_and_neither_is_taken() -> None:
    found = index("one/a.jpg", "two/a.jpg").find(["a.jpg"])
    assert found.path is None
    assert found.rivals == (ROOT / "one/a.jpg", ROOT / "two/a.jpg")
    assert index("a.png", "a.bmp").find(["a.jpg"]).path is None


def test_near_folders_and_hints_decide() -> None:
    images = index("train2017/a.jpg", "val2017/a.jpg")
    assert images.find(["a.jpg"], near=[ROOT / "val2017"]).path == ROOT / "val2017/a.jpg"
    assert images.find(["a.jpg"], hints=["train2017"]).path == ROOT / "train2017/a.jpg"


def test_the_most_trusted_name_comes_first() -> None:
    images = index("a.jpg", "b.jpg")
    assert images.find(["b.jpg", "a.jpg"]).path == ROOT / "b.jpg"
    assert images.find(["c.jpg", "a.jpg"]).path == ROOT / "a.jpg"
    assert images.find(["../../b.jpg"], near=[ROOT / "x/y"]).path == ROOT / "b.jpg"


def test_what_is_left_over_is_paired_only_without_rivals() -> None:
    files = [ROOT / name for name in ("Apple.PNG", "Lime.PNG", "Kiwi.PNG", "K.PNG")]
    names = ["Apple Braeburn_0.xml", "Limes_0.xml", "Kiwi_1.xml", "Kiwi_2.xml", "Kx.xml"]
    assert pair_left_over(names, files) == {0: files[0], 1: files[1]}
