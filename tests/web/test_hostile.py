"""Requests that are malformed, huge or slow: each gets its status, and service goes on."""

from __future__ import annotations

import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from detect_tl.web import server
from detect_tl.web.server import Address
from tests.web.clients import assert_refused, at_root, boxes, connected, joined, spoken
from tests.web.conftest import TWO_BOXES, encoded, serving, two_cells

PICTURE = encoded(two_cells())
PATIENCE = 0.4
"""Seconds in which a request must have arrived, in the tests about slow ones."""


@pytest.fixture(autouse=True)
def _still_serves(service: Address) -> Iterator[None]:
    """Whatever a test did to the service, it answers the next one rightly."""
    yield
    answer = httpx.post(f"{service.url}predict", content=PICTURE)
    assert boxes(answer.json()) == TWO_BOXES


def chunk(kind: bytes, data: bytes) -> bytes:
    length, checksum = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
    return length + kind + data + checksum


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG of one bit a pixel that says it is so large, with compressed `data` in it."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def bomb(side: int) -> bytes:
    """A true PNG of `side` squared black pixels in a few kilobytes."""
    return png(side, side, zlib.compress(bytes((side // 8 + 1) * side), 9))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"this is no picture", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"GIF89a" + bytes(50), 415),
        (b"\xff\xd8\xff", 422),
        (encoded(two_cells(), ".jpg")[:-500], 422),
        (PICTURE[:60], 422),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), 422),
        (b"RIFF\0\0\0\0WEBP" + bytes(100), 422),
        (b"II*\0" + bytes(100), 422),
        (png(0, 10), 422),
        (png(64, 64, b"not compressed"), 422),
        (png(60_000, 60_000), 422),
    ],
)
def test_what_is_no_whole_picture(client: httpx.Client, data: bytes, status: int) -> None:
    assert_refused(client.post("/predict", content=data), status)
    assert_refused(client.post("/predict", files={"file": data}), status)


@pytest.mark.parametrize(("side", "status"), [(12_000, 413), (20_000, 422)])
def test_a_decompression_bomb_is_not_decoded(client: httpx.Client, side: int, status: int) -> None:
    data = bomb(side)
    assert len(data) < 100_000
    answer = client.post("/predict", content=data)
    assert_refused(answer, status)
    assert f"{side * side} pixels" in answer.json()["detail"]


@given(place=st.integers(0, len(PICTURE) - 1), with_byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_pictures_never_fail_the_server(
    client: httpx.Client, place: int, with_byte: int, cut: bool
) -> None:
    data = bytearray(encoded(two_cells(), ".jpg"))
    place = place % len(data)
    data[place] = with_byte
    answer = client.post("/predict", content=bytes(data[:place] if cut else data))
    assert answer.status_code in (200, 413, 415, 422)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "multipart/form-data"}, b"x", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"no such boundary", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\n\r\n--x--\r\n", 400),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhi\r\n--x--\r\n',
            400,
        ),
        ({"content-encoding": "gzip"}, b"\x1f\x8b\x08", 415),
    ],
)
def test_a_broken_form(
    client: httpx.Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert_refused(client.post("/predict", content=body, headers=headers), status)


def test_two_files_or_none(client: httpx.Client) -> None:
    twice = [("file", PICTURE), ("file", PICTURE)]
    assert_refused(client.post("/predict", files=twice), 400)
    assert_refused(client.post("/predict", files={"image": PICTURE}), 400)


def test_a_request_that_declares_too_much_is_not_read(service: Address) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Length: 99000000000\r\n\r\n"
    answer = spoken(service, head)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_request_that_grows_too_large(detect_model: Path) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(10_000)

    with serving(detect_model, max_bytes=50_000) as address:
        assert_refused(httpx.post(f"{address.url}predict", content=endless()), 413)
        many = PICTURE + bytes(60_000)
        assert_refused(httpx.post(f"{address.url}predict", files={"file": many}), 413)
        assert httpx.post(f"{address.url}predict", content=PICTURE).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", "/predict", 405),
        ("PUT", "/model", 405),
        ("POST", "/metrics", 405),
        ("GET", "/nothing", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("GET", "/static/..%2fapp.py", 404),
        ("GET", "/live", 404),
    ],
)
def test_wrong_methods_and_paths(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert_refused(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


def test_too_many_requests(detect_model: Path) -> None:
    with serving(detect_model, rate=0.01) as address, at_root(address) as client:
        assert client.post("/predict", content=PICTURE).status_code == 200
        for _ in range(3):
            answer = client.post("/predict", content=PICTURE)
            assert_refused(answer, 429)
            assert 90 <= int(answer.headers["retry-after"]) <= 100
        with pytest.raises(InvalidStatus) as refusal, joined(address):
            pass
        assert refusal.value.response.status_code == 429
        assert client.get("/healthz").status_code == 200


def test_too_many_clients(detect_model: Path) -> None:
    with serving(detect_model, clients=2) as address, at_root(address) as client:
        with joined(address), joined(address):
            with pytest.raises(InvalidStatus) as refusal, joined(address):
                pass
            assert refusal.value.response.status_code == 503
            assert_refused(client.post("/predict", content=PICTURE), 503)
        deadline = time.monotonic() + 20
        while client.post("/predict", content=PICTURE).status_code != 200:
            assert time.monotonic() < deadline, "places are not given back"


def test_a_body_that_does_not_come(detect_model: Path) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n"
    with serving(detect_model, seconds=PATIENCE) as address:
        assert spoken(address, head + b"\r\nabc").startswith(b"HTTP/1.1 408 ")
        assert httpx.post(f"{address.url}predict", content=PICTURE).status_code == 200


def test_a_head_that_does_not_come(detect_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEAD", PATIENCE)
    with serving(detect_model) as address:
        assert spoken(address, b"GET / HTTP/1.1\r\nHost:").startswith(b"HTTP/1.1 408 ")
        assert spoken(address, b"") == b""
        with joined(address) as slow:  # a WebSocket is not cut, however long it is silent
            time.sleep(2 * PATIENCE)
            slow.send(PICTURE)
            assert json.loads(slow.recv())["frame"] == 0


@pytest.mark.parametrize(
    "text",
    [b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0" * 20],
)
def test_what_is_no_http(service: Address, text: bytes) -> None:
    answer = spoken(service, text)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer


def test_clients_that_leave_in_the_middle(service: Address) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\nabc"
    for _ in range(20):
        connected(service, head).close()
        with joined(service) as left:
            left.send(PICTURE)
            left.socket.shutdown(socket.SHUT_RDWR)


def test_what_nobody_foresaw_is_told_to_nobody(
    detect_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a secret of the house")

    with (
        monkeypatch.context() as patch,
        serving(detect_model) as address,
        at_root(address) as client,
    ):
        patch.setattr("detect_tl.web.engine.read_picture", fail)
        answer = client.post("/predict", content=PICTURE)
        assert_refused(answer, 500)
        assert "secret" not in answer.text
        with joined(address) as live:
            live.send(PICTURE)
            with pytest.raises(ConnectionClosed) as ended:
                live.recv()
        assert "secret" not in str(ended.value)
        assert client.get("/healthz").status_code == 200
