"""Finding the image that an annotation means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

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
        (["cafe\u0301.jpg"], "caf\u00e9.jpg", "cafe\u0301.jpg", "unicode"),
        (["Caf\u00e9.jpg"], "cafe\u0301.jpg", "Caf\u00e9.jpg", "case"),
        (["my dog.jpg"], "my%20dog.jpg", "my dog.jpg", "encoding"),
        (["caf%C3%A9.jpg"], "cafe\u0301.jpg", "caf%C3%A9.jpg", "encoding"),
        (["a.jpg"], "https://host/x/a.jpg?token=1", "a.jpg", ""),
        (["a b.jpg"], "s3://bucket/a%20b.jpg", "a b.jpg", "encoding"),
        # names without an extension, as CVAT and KITTI write them
        (["frame_000013.PNG"], "frame_000013", "frame_000013.PNG", "extension"),
        (["frame.1.png", "frame.png"], "frame.1", "frame.1.png", "extension"),
        (["x.left.png", "x.png"], "x.left", "x.left.png", "extension"),
        # what Label Studio and Roboflow add, on either side
        (["dog.jpg"], "/data/upload/1/48c220e9-dog.jpg", "dog.jpg", "tool"),
        (["My Dog (1).JPG"], "48c220e9-My_Dog_1.jpg", "My Dog (1).JPG", "tool"),
        (["48c220e9-dog.jpg"], "dog.jpg", "48c220e9-dog.jpg", "tool"),
        (["dog.png"], f"dog_png.rf.{'1a' * 16}.jpg", "dog.png", "tool"),
        (
            [f"My-Dog_jpg.rf.{'1a' * 16}.jpg"],
            "My Dog.jpg",
            f"My-Dog_jpg.rf.{'1a' * 16}.jpg",
            "tool",
        ),
        # the exact name wins over the forgiving ones
        (["a.png", "a.jpg", "A.jpg"], "a.jpg", "a.jpg", ""),
        (["Mango.PNG", "Mango_0.png"], "Mango_0.jpg", "Mango_0.png", "extension"),
    ],
)
def test_names_lead_to_images(files: list[str], name: str, found: str, forgiven: str) -> None:
    assert index(*files).find([name]) == Match(ROOT / found, forgiven)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["a.jpg"], "b.jpg"),
        (["a.jpg"], ""),
        (["a.jpg"], "images/"),
        ([], "a.jpg"),
        (["ab.jpg"], "a.jpg"),
        # two uploads, two versions and two dates are different pictures
        (["48c220e9-dog.jpg"], "bd8f1cf8-dog.jpg"),
        (["20240101-cam.jpg"], "20240102-cam.jpg"),
        ([f"dog_jpg.rf.{'1a' * 16}.jpg"], f"dog_jpg.rf.{'2b' * 16}.jpg"),
        (["frame.png"], "frame.1"),
        (["a.jpg"], "http://["),
    ],
)
def test_other_names_lead_nowhere(files: list[str], name: str) -> None:
    assert index(*files).find([name]) == Match()


def test_two_that_fit_equally_well_are_named_and_neither_is_taken() -> None:
    found = index("one/a.jpg", "two/a.jpg").find(["a.jpg"])
    assert found.path is None
    assert found.rivals == (ROOT / "one/a.jpg", ROOT / "two/a.jpg")
    assert index("a.png", "a.bmp").find(["a.jpg"]).path is None
    assert len(index("48c220e9-a.jpg", "bd8f1cf8-a.jpg").find(["a.jpg"]).rivals) == 2
    assert len(index("caf\u00e9.jpg", "cafe\u0301.jpg").find(["caf%C3%A9.png"]).rivals) == 2


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


@given(st.lists(st.text(max_size=12), max_size=4), st.text(max_size=20))
def test_only_what_was_found_below_the_folder_is_ever_given(files: list[str], name: str) -> None:
    """Whatever a name holds: "..", a root, drive letters, NUL, lone surrogates."""
    paths = [ROOT / "set" / f"{file.replace('/', '_')}.png" for file in files]
    images = ImageIndex(paths)
    for wanted in (name, f"../{name}", f"/{name}", f"..\\..\\{name}", f"file:///{name}"):
        match = images.find([wanted], near=[ROOT / "set", ROOT])
        assert match.path is None or match.path in paths
