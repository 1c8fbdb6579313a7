"""Links, pipes and closed folders below a source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.files import walk_files
from detect_tl.core.findings import Report
from detect_tl.formats.walk import Walk
from tests.formats.makers import image, read, text, voc, voc_object

CAT = voc_object("cat", 1, 2, 30, 40)


def names(walk: Walk) -> list[str]:
    return [path.relative_to(walk.root).as_posix() for path in walk.files]


def test_files_come_in_the_order_of_every_other_walk(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.txt", "a.txt", "c.txt", "b/a/0.txt", "B.txt", ".hidden", ".h/x"):
        text(tmp_path / name, "")
    assert Walk(tmp_path).files == list(walk_files(tmp_path))


def test_links_out_of_the_source_are_said_and_not_followed(tmp_path: Path) -> None:
    image(tmp_path / "private/secret.png")
    image(tmp_path / "set/a.png")
    (tmp_path / "set/secret.png").symlink_to(tmp_path / "private/secret.png")
    (tmp_path / "set/more").symlink_to("../private", target_is_directory=True)
    voc(tmp_path / "set/a.xml", "a.png", CAT)
    voc(tmp_path / "set/b.xml", "more/secret.png", CAT)
    result = read(tmp_path / "set")
    assert [s.image.name for s in result.dataset.samples] == ["a.png"]
    assert result.report.lost["links-out-of-the-source"] == 2
    assert result.report.lost["objects-without-image"] == 1
    (said,) = (f for f in result.report.findings if f.code == "source.link-out")
    assert "more and 1 more" in said.message
    assert "--follow-links" in said.message

    followed = read(tmp_path / "set", follow_links=True)
    assert {s.image.relative_to(tmp_path).as_posix() for s in followed.dataset.samples} == {
        "set/a.png",
        "set/more/secret.png",
        "set/secret.png",
    }
    assert not followed.report.lost


def test_a_set_of_nothing_but_links_names_the_option(tmp_path: Path) -> None:
    image(tmp_path / "disk/a.png")
    voc(tmp_path / "set/a.xml", "a.png", CAT)
    (tmp_path / "set/a.png").symlink_to(tmp_path / "disk/a.png")
    with pytest.raises(DataError, match="no image could be read") as caught:
        read(tmp_path / "set")
    assert "--follow-links" in caught.value.hint
    (tmp_path / "all").mkdir()
    (tmp_path / "all/set").symlink_to(tmp_path / "set", target_is_directory=True)
    with pytest.raises(DataError, match="no annotations found") as caught:
        read(tmp_path / "all")
    assert "--follow-links" in caught.value.hint


def test_links_inside_the_source_are_followed_to_files(tmp_path: Path) -> None:
    image(tmp_path / "pool/a.png")
    (tmp_path / "b.png").symlink_to("pool/a.png")
    (tmp_path / "again").symlink_to("pool", target_is_directory=True)
    walk = Walk(tmp_path)
    assert names(walk) == ["b.png", "pool/a.png"]
    assert not walk.left


@pytest.mark.parametrize("follow", [False, True])
def test_links_in_circles_end(tmp_path: Path, follow: bool) -> None:
    text(tmp_path / "set/a.txt", "")
    text(tmp_path / "out/b.txt", "")
    (tmp_path / "set/self").symlink_to(".", target_is_directory=True)
    (tmp_path / "set/out").symlink_to("../out", target_is_directory=True)
    (tmp_path / "out/out").symlink_to("../out", target_is_directory=True)
    (tmp_path / "out/back").symlink_to("../set", target_is_directory=True)
    (tmp_path / "set/loop").symlink_to("loop")
    walk = Walk(tmp_path / "set", follow_links=follow)
    assert [n for n in names(walk) if n != "loop"] == (
        ["a.txt", "out/b.txt"] if follow else ["a.txt"]
    )


def test_a_folder_beside_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    text(tmp_path / "set-2/a.txt", "")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/link").symlink_to("../set-2", target_is_directory=True)
    assert len(Walk(tmp_path / "set").left) == 1


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    image(tmp_path / "disk/a.png")
    voc(tmp_path / "disk/a.xml", "a.png", CAT)
    (tmp_path / "set").symlink_to("disk", target_is_directory=True)
    (sample,) = read(tmp_path / "set").dataset.samples
    assert sample.image == tmp_path / "set/a.png"


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    """Whoever opens a pipe without a writer waits forever."""
    image(tmp_path / "a.png")
    voc(tmp_path / "a.xml", "a.png", CAT)
    for name in ("pipe.json", "pipe.xml", "pipe.txt", "pipe.png", "data.yaml", "labels.txt"):
        os.mkfifo(tmp_path / name)
    result = read(tmp_path)
    assert len(result.dataset) == 1
    assert result.report.count("source.odd-file") == 1


def test_a_folder_that_may_not_be_opened_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text(tmp_path / "a.txt", "")
    text(tmp_path / "closed/b.txt", "")
    whole = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(path)
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walk, report = Walk(tmp_path), Report()
    walk.report(report)
    assert names(walk) == ["a.txt"]
    assert report.lost["folders-unreadable"] == 1
    assert [f.severity for f in report.findings] == ["error"]
