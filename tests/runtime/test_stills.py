from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError, UsageError
from detect_tl.runtime.stills import list_stills
from tests.formats.makers import image, text


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.png", "deep/c.jpg", ".hidden.jpg"):
        image(tmp_path / "shots" / name)
    text(tmp_path / "shots/notes.md", "nothing")
    return tmp_path / "shots"


def names(found: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found]


def test_a_folder_is_searched_in_depth(shots: Path) -> None:
    assert names(list_stills(shots), shots) == ["a.png", "b.jpg", "deep/c.jpg"]


def test_an_image_and_a_pattern(shots: Path) -> None:
    assert names(list_stills(shots / "b.jpg"), shots) == ["b.jpg"]
    assert names(list_stills(str(shots / "**/*.jpg")), shots) == ["b.jpg", "deep/c.jpg"]


def test_a_list_names_each_image_once(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["# mine", "shots/deep", "shots/*.png", str(shots / "a.png"), str(shots / "b.jpg")]
    listed = text(shots.parent / "list.txt", "\n".join(lines))
    wanted = ["deep/c.jpg", "a.png", "b.jpg"]
    assert names(list_stills(listed), shots) == wanted
    monkeypatch.chdir(shots.parent)
    assert names(list_stills("list.txt"), shots) == wanted


@pytest.mark.parametrize("moving", ["0", "-", "rtsp://camera/1", "{}/a.mp4", "{}/notes.md"])
def test_what_moves_is_refused_with_a_way_to_pictures(shots: Path, moving: str) -> None:
    (shots / "a.mp4").touch()
    with pytest.raises(UsageError, match="is no image") as refused:
        list_stills(moving.format(shots))
    assert "--save labelme" in refused.value.hint


def test_nothing_there_is_said(shots: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list_stills(shots / "none.jpg")
    with pytest.raises(DataError, match="no image fits"):
        list_stills(str(shots / "*.bmp"))
