"""A small release server, and weights small enough to serve."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detect_tl.transfer import manifest
from detect_tl.transfer.fetch import FOLDER_VARIABLE, OFFLINE_VARIABLE
from detect_tl.transfer.manifest import URL_VARIABLE, WeightsEntry, find

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SMALL = WeightsEntry(
    name="yolo11n",
    task="detect",
    family="YOLO11",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)
OTHER = b"fine-tuned by me"
TWIN = b"another official file"
TWIN_ENTRY = WeightsEntry(
    name="yolov8n", task="detect", family="YOLOv8", sha256=hashlib.sha256(TWIN).hexdigest()
)


@dataclass
class Server:
    """What the release server sends, and what it was asked for."""

    content: bytes = CONTENT
    status: int = 200
    ranges: bool = True  # whether it can continue a file
    dies_after: int | None = None  # bytes after which it drops the connection
    announces: bool = True  # whether it says how long the file is
    requests: list[tuple[str, str]] = field(default_factory=list)  # (path, Range)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    behaviour: Server

    def do_GET(self) -> None:
        server, wanted = self.behaviour, self.headers.get("Range", "")
        server.requests.append((self.path, wanted))
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0) if server.ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if server.announces:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.dies_after])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    behaviour = Server()
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    behaviour.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield behaviour
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """An empty working folder of a user who has no weights; `server` is their mirror.

    Its only official weights, `yolo11n`, have the content that the server sends.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(URL_VARIABLE, server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv(OFFLINE_VARIABLE, raising=False)
    known = {entry.name: entry for entry in (SMALL, TWIN_ENTRY, *map(find, ("yolo12n", "starter")))}
    monkeypatch.setattr(manifest, "_entries", lambda: known)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
