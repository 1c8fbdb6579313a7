"""Weights are found where they are said to be, checked, and fetched whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import pytest

from detect_tl.core import embedded
from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.core.progress import Step
from detect_tl.transfer.fetch import (
    FOLDER_VARIABLE,
    OFFLINE_VARIABLE,
    cache_folder,
    fetch,
    locate,
    search_folders,
)
from detect_tl.transfer.library import describe_file, describe_name, list_weights
from detect_tl.transfer.manifest import URL_VARIABLE, find
from tests.transfer.conftest import CONTENT, OTHER, SMALL, TWIN, Server


def put(folder: Path, content: bytes = CONTENT, name: str = "yolo11n.pt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def refused(name: str | Path, **more: object) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        locate(name, **more)  # type: ignore[arg-type]
    assert caught.value.exit_code == 4
    assert caught.value.hint
    return caught.value


def left_in_cache() -> list[str]:
    folder = cache_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# -- on this machine -----------------------------------------------------------------------------


def test_search_order(place: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    named = place.parent / "named"
    named.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(named))
    places = {"cache": cache_folder(), "weights/": place / "weights", "DETECT_TL_WEIGHTS": named}
    for origin, folder in places.items():  # from the last to the first that is searched
        put(folder)
        found = locate("yolo11n")
        assert (found.origin, found.name, found.verified) == (origin, "yolo11n", True)
        assert found.path.resolve() == (folder / "yolo11n.pt").resolve()
        assert found.sha256 == SMALL.sha256
    assert server.requests == []


def test_a_path_is_taken_as_it_is(place: Path) -> None:
    mine = put(place / "models", OTHER)
    for spelling in (mine, str(mine), "models/yolo11n.pt"):
        found = locate(spelling)
        assert (found.origin, found.name, found.verified) == ("path", None, False)
    assert locate(put(place / "copies", name="a.pt")).name == "yolo11n"
    put(place, OTHER)
    assert locate("yolo11n.pt").origin == "path"
    best = put(place / "run" / "weights", OTHER, "best.pt")
    assert locate("run").path == best.relative_to(place)


def test_a_folder_of_that_name_does_not_hide_the_weights(place: Path) -> None:
    (place / "yolo11n").mkdir()
    put(place / "weights")
    assert locate("yolo11n").origin == "weights/"


@pytest.mark.parametrize("origin", ["DETECT_TL_WEIGHTS", "weights/", "cache"])
def test_another_file_under_an_official_name_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, origin: str, server: Server
) -> None:
    folder = {"weights/": place / "weights", "cache": cache_folder()}.get(origin, place / "named")
    path = put(folder, OTHER)
    if origin == "DETECT_TL_WEIGHTS":
        monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    error = refused("yolo11n")
    assert hashlib.sha256(OTHER).hexdigest() in error.message
    assert str(SMALL.sha256) in error.message
    assert "by its path" in error.hint
    assert "--trust" in error.hint
    trusted = locate("yolo11n", trust=True)
    assert (trusted.path.resolve(), trusted.verified) == (path, False)
    assert server.requests == []


def test_an_older_official_file_is_explained(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(place / "weights", OTHER)
    older = "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95"
    monkeypatch.setattr("detect_tl.transfer.fetch.sha256_file", lambda _: older)
    error = refused("yolo11n")
    assert "older official file" in error.message
    assert error.path is not None
    assert error.path.resolve() == path


def test_an_official_file_under_another_name_is_explained(place: Path) -> None:
    put(place / "weights", TWIN)
    assert "the official yolov8n.pt under another name" in refused("yolo11n").message


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("yolo11q", "no weights are called 'yolo11q'"),
        ("mine.pt", "mine.pt: does not exist"),
        ("models/mine.pt", "models/mine.pt: does not exist"),
        (Path("yolo11n.pt"), "yolo11n.pt: does not exist"),
        ("./nothing", "does not exist"),
    ],
)
def test_what_is_not_there(place: Path, name: str | Path, says: str) -> None:
    assert says in str(refused(name))


def test_a_folder_without_a_checkpoint(place: Path) -> None:
    (place / "empty").mkdir()
    assert "without weights/best.pt" in str(refused(place / "empty"))


def test_the_variable_must_name_a_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(place / "typo"))
    assert FOLDER_VARIABLE in refused("yolo11n").message


def test_the_checkout_is_searched_from_anywhere(place: Path, repository: Path) -> None:
    folders = [folder for folder, _ in search_folders()]
    assert folders == [Path("weights"), repository / "weights", cache_folder()]


def test_the_starter(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = put(place, OTHER, "starter.pt")
    monkeypatch.setattr("detect_tl.transfer.fetch.embedded_starter", lambda: mine)
    found = locate("starter")
    assert (found.path, found.origin, found.verified) == (mine, "embedded", False)
    assert fetch(find("starter")).path == mine
    assert fetch(find("starter"), to=place / "copy").path.read_bytes() == OTHER
    assert fetch(find("starter"), to=place).path == mine
    monkeypatch.setattr("detect_tl.transfer.fetch.embedded_starter", lambda: None)
    assert "synthetic starter, not COCO" in refused("starter").message


# -- from the release ----------------------------------------------------------------------------


class Recorder:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.done = 0.0
        self.total: float | None = None

    def step(self, text: str, total: float | None = None) -> AbstractContextManager[Step]:
        del text
        self.total = total
        return nullcontext(self)

    def advance(self, amount: float = 1) -> None:
        self.done += amount

    def describe(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...


def test_download(place: Path, server: Server) -> None:
    progress = Recorder()
    found = locate("yolo11n", progress=progress)
    assert (found.origin, found.verified) == ("download", True)
    assert found.path == cache_folder() / "yolo11n.pt"
    assert found.path.read_bytes() == CONTENT
    assert progress.done == progress.total == len(CONTENT)
    assert left_in_cache() == ["yolo11n.pt"]
    assert locate("yolo11n").origin == "cache"
    assert server.requests == [("/yolo11n.pt", "")]


def test_download_elsewhere(place: Path) -> None:
    found = fetch(SMALL, to=place / "weights")
    assert found.path == place / "weights" / "yolo11n.pt"
    assert locate("yolo11n").origin == "weights/"
    assert left_in_cache() == []


def test_fetching_replaces_a_wrong_file(place: Path) -> None:
    put(place / "weights", OTHER)
    assert fetch(SMALL, to=place / "weights").path.read_bytes() == CONTENT


def test_a_broken_download_is_continued(place: Path, server: Server) -> None:
    server.dies_after = 300_000
    error = refused("yolo11n")
    assert "broke off" in error.message
    assert "yolo11n.pt" not in left_in_cache()
    server.dies_after = None
    progress = Recorder()
    assert locate("yolo11n", progress=progress).path.read_bytes() == CONTENT
    assert progress.done == progress.total == len(CONTENT)
    assert left_in_cache() == ["yolo11n.pt"]
    start = int(server.requests[-1][1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 300_000


def test_a_server_that_cannot_continue_starts_again(place: Path, server: Server) -> None:
    server.dies_after = 300_000
    refused("yolo11n")
    server.dies_after, server.ranges = None, False
    assert locate("yolo11n").path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(place: Path, server: Server) -> None:
    put(cache_folder(), CONTENT + b"more", ".yolo11n.pt.part")
    assert locate("yolo11n").path.read_bytes() == CONTENT
    assert left_in_cache() == ["yolo11n.pt"]


def test_a_part_beyond_what_the_server_has(place: Path, server: Server) -> None:
    """The server has another, shorter file: it is asked from the beginning, then found out."""
    put(cache_folder(), CONTENT[:-1], ".yolo11n.pt.part")
    server.content = CONTENT[:1000]
    assert "the official file has" in refused("yolo11n").message


def test_the_wrong_part_is_found_out_and_forgotten(place: Path) -> None:
    put(cache_folder(), b"x" * 1000, ".yolo11n.pt.part")
    assert "SHA-256 differs" in refused("yolo11n").message
    assert left_in_cache() == []
    assert locate("yolo11n").verified


def test_the_part_of_a_killed_process_is_taken_over(place: Path, server: Server) -> None:
    left = put(cache_folder(), CONTENT[:5000], ".yolo11n.pt.99999.part")
    busy = put(cache_folder(), b"", ".yolo11n.pt.88888.part")
    os.utime(left, (time.time() - 3600,) * 2)
    assert locate("yolo11n").verified
    assert server.requests == [("/yolo11n.pt", "bytes=5000-")]
    assert busy.exists()


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"y" * len(CONTENT), "SHA-256 differs"),
        (CONTENT[:5000], "bytes"),
        (CONTENT + b"more", "bytes"),
        (b"<html>please sign in</html>", "bytes"),
    ],
)
def test_what_is_not_the_file_leaves_nothing(
    place: Path, server: Server, content: bytes, says: str, announces: bool
) -> None:
    server.content, server.announces = content, announces
    assert says in refused("yolo11n").message
    assert "yolo11n.pt" not in left_in_cache()
    server.content, server.announces = CONTENT, True
    with suppress(WeightsError):  # a wrong beginning is only known by the sum of the whole
        locate("yolo11n")
    assert locate("yolo11n").verified


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_an_error_of_the_server_is_named(place: Path, server: Server, status: int) -> None:
    server.status = status
    error = refused("yolo11n")
    assert f"answered {status}" in error.message
    assert left_in_cache() == []
    for what in (SMALL.url, SMALL.sha256, FOLDER_VARIABLE, URL_VARIABLE, str(place / "weights")):
        assert str(what) in error.hint


def test_no_network_fails_within_seconds(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{closed.getsockname()[1]}")
    begin = time.monotonic()
    assert "cannot be reached" in refused("yolo11n").message
    assert time.monotonic() - begin < 5


def test_a_proxy_is_respected(place: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv(URL_VARIABLE, "http://release.example/yolo")
    monkeypatch.setenv("http_proxy", server.url)
    assert locate("yolo11n").verified
    assert server.requests == [("http://release.example/yolo/yolo11n.pt", "")]


@pytest.mark.parametrize("how", ["argument", "1", "true", "ON"])
def test_offline_asks_nobody(
    place: Path, monkeypatch: pytest.MonkeyPatch, server: Server, how: str
) -> None:
    if how != "argument":
        monkeypatch.setenv(OFFLINE_VARIABLE, how)
    error = refused("yolo11n", offline=True if how == "argument" else None)
    assert "network is not to be used" in error.message
    assert str(SMALL.sha256) in error.hint
    assert server.requests == []


def test_weights_without_a_sum_need_trust(place: Path, server: Server) -> None:
    assert "no checksum is known" in refused("yolo12n").message
    assert server.requests == []
    found = locate("yolo12n", trust=True)
    assert (found.origin, found.verified) == ("download", False)
    assert "no checksum is known" in refused("yolo12n").message
    assert locate("yolo12n", trust=True).origin == "cache"


def test_a_file_is_no_folder(place: Path) -> None:
    (place / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        fetch(SMALL, to=place / "file")


def test_a_full_disk_is_said_and_leaves_nothing(place: Path) -> None:
    class Full(Recorder):
        def advance(self, amount: float = 1) -> None:
            if amount:
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MachineError, match="disk is full"):
        locate("yolo11n", progress=Full())
    assert "yolo11n.pt" not in left_in_cache()
    assert locate("yolo11n").verified


def test_an_interrupted_download_is_continued(place: Path, server: Server) -> None:
    class Interrupted(Recorder):
        def advance(self, amount: float = 1) -> None:
            if amount:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locate("yolo11n", progress=Interrupted())
    assert left_in_cache() == [".yolo11n.pt.part"]
    assert locate("yolo11n").verified
    assert server.requests[-1][1].startswith("bytes=")


# -- what is said of them ------------------------------------------------------------------------


def test_rows(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detect_tl.transfer.fetch.embedded_starter", lambda: None)
    rows = {row.entry.name: row for row in list_weights()}
    assert set(rows) == {"yolo11n", "yolov8n", "starter"}
    assert (rows["yolo11n"].path, rows["yolo11n"].matches) == (None, None)
    put(place / "weights", OTHER)
    row = describe_name("yolo11n")
    assert (row.origin, row.matches) == ("weights/", False)
    put(place / "weights")
    assert describe_name("yolo11n.pt").matches


def test_files(place: Path) -> None:
    known = describe_file(put(place, name="copy.pt"))
    assert (known.size, known.recognised.name) == (len(CONTENT), "yolo11n")
    assert describe_file(put(place, OTHER, "mine.pt")).recognised.kind == "unknown"


def test_nothing_is_said_to_be_embedded_that_is_not_there() -> None:
    for path in (embedded.embedded_starter(), embedded.embedded_sample()):
        assert path is None or path.exists()
