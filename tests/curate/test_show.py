"""Pictures with annotations: what is drawn where, which images, and whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detect_tl import api
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, RleMask, Size, box_ring
from detect_tl.core.pages import class_bgr
from detect_tl.curate.draw import draw_sample
from detect_tl.curate.show import Choice, choose, pictures, show_window, write_pictures, write_sheet
from tests.formats.makers import image

NAMES = ("cat", "dog")
GREY = 128


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    path = tmp_path / "blank.png"
    Image.new("RGB", (300, 200), (GREY,) * 3).save(path)
    return path


def drawn(path: Path, *items: Instance) -> np.ndarray:
    return draw_sample(Sample(path, Size(300, 200), items), NAMES)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as opened:
        return opened.size


def is_class(pixel: np.ndarray, category: int) -> bool:
    """Whether a pixel has the colour of a class, but for the smoothing of lines."""
    return bool(np.allclose(pixel, class_bgr(category), atol=25))


def untouched(pixels: np.ndarray) -> bool:
    return bool((pixels == GREY).all())


def test_a_box_is_a_frame_under_a_label(blank: Path) -> None:
    found = drawn(blank, Instance(0, Box(100, 80, 200, 150)))
    assert is_class(found[115, 100], 0)
    assert is_class(found[115, 199], 0)
    assert untouched(found[84:146, 104:196])
    assert not untouched(found[66:79, 100:120])  # the label, on top of it
    assert untouched(found[155:])


def test_a_mask_is_tinted_and_its_hole_is_not(blank: Path) -> None:
    outer, inner = Box(50, 60, 250, 180), Box(120, 100, 180, 140)
    mask = PolygonMask((box_ring(outer),), (box_ring(inner),))
    found = drawn(blank, Instance(1, outer, mask))
    assert untouched(found[103:137, 123:177])
    tint = np.asarray(class_bgr(1)) * 0.4 + GREY * 0.6
    assert np.allclose(found[70:90, 60:110], tint, atol=1)


def test_a_crowd_is_hatched_and_says_so(blank: Path) -> None:
    single = drawn(blank, Instance(0, Box(50, 60, 250, 180)))
    crowd = drawn(blank, Instance(0, Box(50, 60, 250, 180), iscrowd=True))
    inside = crowd[65:175, 55:245]
    share = float((inside != GREY).any(axis=2).mean())
    assert 0.3 < share < 0.7
    # the label is longer by "(crowd)"
    assert (crowd[45:58] != GREY).sum() > (single[45:58] != GREY).sum()


def test_labels_never_cover_each_other(blank: Path) -> None:
    large, small = Instance(0, Box(50, 60, 250, 180)), Instance(1, Box(55, 62, 90, 90))
    alone, both = drawn(blank, large), drawn(blank, large, small)
    assert (alone[45:58, 50:80] == both[45:58, 50:80]).all()


def test_a_mask_of_another_size_does_not_stop_the_picture(blank: Path) -> None:
    mask = RleMask((2, 2, 2), Size(3, 2))
    found = drawn(blank, Instance(0, Box(100, 80, 200, 150), mask))
    assert is_class(found[115, 100], 0)


def test_large_pictures_are_reduced_first(blank: Path) -> None:
    sample = Sample(blank, Size(300, 200), (Instance(0, Box(100, 80, 200, 150)),))
    found = draw_sample(sample, NAMES, longest=150)
    assert found.shape == (100, 150, 3)
    assert is_class(found[57, 50], 0)


@pytest.fixture
def made(tmp_path: Path) -> Dataset:
    cat, dog = (Instance(k, Box(10, 10, 40, 40)) for k in range(2))
    samples = []
    for place in range(20):
        path = image(tmp_path / "in" / f"{place:02}.jpg")
        items = (dog,) if place == 17 else (cat,)
        samples.append(Sample(path, Size(100, 80), items, "val" if place % 2 else "train"))
    return Dataset(tuple(map(Category, NAMES)), tuple(samples))


def test_the_choice_shows_every_class(made: Dataset) -> None:
    names = [s.image.name for s in choose(made, Choice(count=3))]
    assert len(names) == 3
    assert "17.jpg" in names


def test_a_seed_chooses_at_random_and_again_the_same(made: Dataset) -> None:
    chosen = [tuple(s.image.name for s in choose(made, Choice(count=5, seed=k))) for k in range(4)]
    assert len(set(chosen)) == 4
    assert [s.image.name for s in choose(made, Choice(count=5, seed=2))] == list(chosen[2])
    assert all(len(set(names)) == 5 for names in chosen)


def test_wishes(made: Dataset) -> None:
    assert [s.image.name for s in choose(made, Choice(images=["0[0-2].jpg"], count=1))] == [
        "00.jpg",
        "01.jpg",
        "02.jpg",
    ]
    assert [s.image.name for s in choose(made, Choice(classes=["dog"]))] == ["17.jpg"]
    assert {s.split for s in choose(made, Choice(split="val"))} == {"val"}
    with pytest.raises(UsageError, match="no class 'cow'"):
        choose(made, Choice(classes=["cow"]))
    with pytest.raises(DataError, match="none of 20 images"):
        choose(made, Choice(split="test"))


def test_a_folder_of_pictures(made: Dataset, tmp_path: Path) -> None:
    report = Report()
    files = write_pictures(tmp_path / "out", made.samples[:3], NAMES, report)
    assert [path.name for path in files] == ["00.jpg", "01.jpg", "02.jpg"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]
    assert size_of(files[0]) == (100, 80)


def test_one_sheet(made: Dataset, tmp_path: Path) -> None:
    assert write_sheet(tmp_path / "sheet.png", made.samples[:5], NAMES, Report()) == 5
    width, height = size_of(tmp_path / "sheet.png")
    assert width > 3 * 480
    assert height < width


@pytest.mark.parametrize("name", ["sheet.gif", "sheet.tiff", "sheet.PDF", "film.mp4"])
def test_a_file_that_no_sheet_can_be_is_not_taken_for_a_folder(
    made: Dataset, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="is no picture that can be written") as caught:
        api.show(made.samples[0].image.parent, tmp_path / name)
    assert ".png" in caught.value.hint
    assert not (tmp_path / name).exists()


def test_a_long_name_leaves_room_for_what_is_said_beside_it(tmp_path: Path) -> None:
    """Two sheets that differ only in what stands behind the name do not look the same."""
    path = image(tmp_path / f"{'a' * 90}.jpg")
    sheets = []
    for split in ("train", "val"):
        out = tmp_path / f"{split}.png"
        write_sheet(out, [Sample(path, Size(100, 80), (), split)], [], Report())
        sheets.append(out.read_bytes())
    assert sheets[0] != sheets[1]


def test_a_picture_that_cannot_be_read_is_counted(made: Dataset, tmp_path: Path) -> None:
    made.samples[1].image.write_bytes(b"no picture")
    report = Report()
    files = write_pictures(tmp_path / "out", made.samples[:3], NAMES, report)
    assert [path.name for path in files] == ["00.jpg", "02.jpg"]
    assert report.lost == {"pictures": 1}
    with pytest.raises(DataError, match="none of the pictures"):
        write_sheet(tmp_path / "sheet.png", made.samples[1:2], NAMES, Report())
    assert not (tmp_path / "sheet.png").exists()


def test_a_window_needs_a_display(made: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detect_tl.core.screen.has_display", lambda: False)
    with pytest.raises(MachineError, match="no display"):
        show_window(pictures(made.samples, NAMES, Report()), "title")


def test_a_key_shows_the_next_and_q_ends(made: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    keys = iter([255, ord(" "), 255, ord("q")])
    monkeypatch.setattr("detect_tl.core.screen.has_display", lambda: True)
    for name in ("namedWindow", "setWindowTitle", "imshow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    assert show_window(pictures(made.samples, NAMES, Report()), "title") == 2
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 0.0)  # closed with the mouse
    assert show_window(pictures(made.samples, NAMES, Report()), "title") == 1
