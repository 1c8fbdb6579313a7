"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.files import (
    atomic_folder,
    atomic_path,
    disk_errors,
    find_images,
    place_file,
    read_json,
    sha256_file,
    sha256_files,
    walk_files,
    write_json,
)

_ORIENTATION = 0x0112


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as scratch:
            scratch.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def interrupt() -> None:
        with atomic_folder(target) as scratch:
            (scratch / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as scratch:
        (scratch / "a").write_text("whole")
    assert (target / "a").read_text() == "whole"
    with pytest.raises(UsageError, match="already exists"), atomic_folder(target):
        pytest.fail("a folder with something in it must not be opened")


def test_an_empty_folder_and_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as scratch:
        (scratch / "a").touch()
    assert (tmp_path / "empty" / "a").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"), atomic_folder(tmp_path / "file"):
        pytest.fail("a file is no folder")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "may not write"), (errno.EROFS, "may not")],
)
def test_disk_errors_are_explained(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(MachineError, match=words), disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    with pytest.raises(IsADirectoryError), disk_errors(tmp_path):
        raise IsADirectoryError(errno.EISDIR, "other errors pass")


def test_json_is_the_same_bytes_for_the_same_value(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "ü"}
    write_json(tmp_path / "1.json", value)
    write_json(tmp_path / "2.json", value)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert read_json(tmp_path / "1.json") == value


def test_halves_of_characters_are_replaced_on_the_way_in_and_out(tmp_path: Path) -> None:
    """Python writes them into JSON, and names of files that are no UTF-8 hold them."""
    path = tmp_path / "a.json"
    path.write_bytes(rb'{"a": "\ud800x", "b": "\ud83d\ude00", "c": NaN, "d": "\\ud800"}')
    read = read_json(path)
    assert (read["a"], read["b"], read["d"]) == ("?x", "\N{GRINNING FACE}", r"\ud800")
    write_json(path, {"a": os.fsdecode(b"\xff.jpg"), "b": np.arange(2)})
    assert read_json(path) == {"a": "?.jpg", "b": [0, 1]}


def test_json_in_another_encoding_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"a": 1,\n"b": "caf\u00e9"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8: byte 0xe9") as caught:
        read_json(path)
    assert caught.value.line == 2
    path.write_bytes('{"b": "caf\u00e9"}'.encode("utf-16"))
    assert read_json(path) == {"b": "caf\u00e9"}


def test_broken_json_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n "a": 1,\n "b": [1, 2\n')
    with pytest.raises(DataError, match=r"a\.json:\d") as caught:
        read_json(path)
    assert caught.value.line in (3, 4)
    path.write_bytes(b"\xef\xbb\xbf[1]")  # some editors put a byte-order mark in front
    assert read_json(path) == [1]
    path.write_text('{"area": NaN}')  # no JSON, but what Python writes
    assert str(read_json(path)["area"]) == "nan"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="broken JSON"):
        read_json(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path / "missing.json")


def test_walking_is_stable_and_skips_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "a/1.PNG", ".hidden/x.jpg", "a/.y.jpg", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [p.relative_to(tmp_path).as_posix() for p in walk_files(tmp_path)]
    assert names == ["c.txt", "a/1.PNG", "b/2.jpg"]
    assert [p.name for p in find_images(tmp_path)] == ["1.PNG", "2.jpg"]


def test_one_hash_covers_names_and_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    both = sha256_files([b, a], tmp_path)
    assert both == sha256_files([a, b], tmp_path)
    assert sha256_file(a) == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    b.rename(tmp_path / "c")
    assert sha256_files([a, tmp_path / "c"], tmp_path) != both


@pytest.mark.parametrize("link", ["copy", "hard", "soft"])
def test_files_are_placed_by_copy_or_link(tmp_path: Path, link: str) -> None:
    source = tmp_path / "a.jpg"
    source.write_text("pixels")
    target = tmp_path / "b.jpg"
    place_file(source, target, link)
    assert target.read_text() == "pixels"
    assert target.is_symlink() == (link == "soft")
    assert target.samefile(source) == (link != "copy")


def test_a_hard_link_across_disks_becomes_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("pixels")
    place_file(tmp_path / "a", tmp_path / "b", "hard")
    assert (tmp_path / "b").read_text() == "pixels"


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    threads = [threading.Thread(target=write_json, args=(target, [k] * 5000)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    value = read_json(target)
    assert value == [value[0]] * 5000
    assert list(tmp_path.iterdir()) == [target]
