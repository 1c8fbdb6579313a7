"""Pictures over a WebSocket: right answers, the newest one only, and a client that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from detect_tl.web.server import Address
from tests.runtime.colour_model import colour_model
from tests.web.clients import boxes, joined
from tests.web.conftest import TWO_BOXES, encoded, noise, serving, two_cells

PICTURE = encoded(two_cells(), ".jpg")
PICTURE_OF_MUCH = encoded(noise(64, 64), ".jpg")


def ask(live: ClientConnection, data: bytes | str) -> dict[str, Any]:
    live.send(data)
    answer: dict[str, Any] = json.loads(live.recv(timeout=30))
    return answer


def test_a_frame_is_answered_as_over_http(service: Address) -> None:
    data = encoded(noise(100, 80))
    posted = httpx.post(f"{service.url}predict", content=data, params={"conf": 0.1}).json()
    with joined(service) as live:
        assert boxes(ask(live, PICTURE)) == TWO_BOXES
        live.send('{"conf": 0.1}')
        assert ask(live, data) == {**posted, "frame": 1, "name": "live"}


def test_settings_hold_from_the_next_frame_on(segment_model: Path) -> None:
    with serving(segment_model) as address, joined(address) as live:
        assert all("mask" in item for item in ask(live, PICTURE)["detections"])
        live.send('{"classes": [1], "masks": false}')
        (only,) = ask(live, PICTURE)["detections"]
        assert (only["class"], "mask" in only) == ("green", False)
        live.send('{"classes": []}')
        assert ask(live, PICTURE)["detections"] == []
        live.send("{}")
        assert len(ask(live, PICTURE)["detections"]) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "json"),
        ("not json", "json"),
        ('{"conf": 7}', "conf"),
        ('{"conf": NaN}', "conf"),
        ('{"classes": [3]}', "no class '3'"),
        ('{"classes": [-1]}', "no class '-1'"),
        ('{"classes": "red"}', "classes"),
        ('{"size": 3}', "size"),
        ("[" * 10_000, "json"),
        (" " * 2_000_000, "too long"),
    ],
)
def test_settings_that_cannot_be_are_told_and_change_nothing(
    service: Address, text: str, word: str
) -> None:
    with joined(service) as live:
        told = ask(live, text)
        assert list(told) == ["error"]
        assert word in told["error"].lower()
        assert boxes(ask(live, PICTURE)) == TWO_BOXES


def test_a_bad_frame_is_told_and_the_next_one_answered(detect_model: Path) -> None:
    with serving(detect_model, max_pixels=640 * 480) as address, joined(address) as live:
        for data, word in ((b"nothing", "no picture"), (encoded(noise(700, 500)), "pixels")):
            told = ask(live, data)
            assert "frame" in told
            assert word in told["error"]
        assert ask(live, b"")["error"]
        answer = ask(live, PICTURE)
        assert (answer["frame"], boxes(answer)) == (3, TWO_BOXES)


def test_a_frame_that_is_too_large_ends_the_connection(detect_model: Path) -> None:
    with serving(detect_model, max_bytes=40_000) as address:
        with joined(address) as live:
            live.send(bytes(50_000))
            with pytest.raises(ConnectionClosed) as ended:
                live.recv(timeout=30)
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1009
        with joined(address) as live:
            assert boxes(ask(live, PICTURE)) == TWO_BOXES


def test_only_the_newest_frame_is_looked_at(
    detect_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first frame is being looked at, ten more come: the last of them is next."""
    begun, go = threading.Event(), threading.Event()

    def slow(data: bytes, most: int) -> Any:
        begun.set()
        assert go.wait(30)
        return real(data, most)

    from detect_tl.web import engine

    real = engine.read_picture
    monkeypatch.setattr(engine, "read_picture", slow)
    with serving(detect_model) as address, joined(address) as live:
        live.send(PICTURE)
        assert begun.wait(30)
        for _ in range(10):
            live.send(PICTURE)
        _wait_for(address, "detect_tl_frames_dropped_total", 9)
        go.set()
        assert [json.loads(live.recv(timeout=30))["frame"] for _ in range(2)] == [0, 10]
        assert ask(live, PICTURE)["frame"] == 11


def _value(address: Address, series: str) -> float:
    text = httpx.get(f"{address.url}metrics").text
    return next(float(x.split()[1]) for x in text.splitlines() if x.startswith(f"{series} "))


def _wait_for(address: Address, series: str, value: float) -> None:
    deadline = time.monotonic() + 30
    while _value(address, series) != value:
        assert time.monotonic() < deadline, f"{series} does not become {value}"
        time.sleep(0.02)


def test_a_silent_client_loses_its_place(detect_model: Path) -> None:
    with serving(detect_model, idle=0.3, clients=1) as address:
        with joined(address) as live, pytest.raises(ConnectionClosed):
            live.recv(timeout=30)
        with joined(address) as live:
            assert boxes(ask(live, PICTURE)) == TWO_BOXES


@pytest.mark.slow
def test_a_client_that_takes_no_answers_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detect_tl.web.live._SECONDS_TO_SEND", 0.3)
    monkeypatch.setattr("detect_tl.web.server._GRACE", 0.3)
    many = colour_model(tmp_path / "many.onnx", side=640)  # of objects
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with serving(many, clients=1) as address, raw:
        raw.connect((address.host, address.port))
        # This client reads no more than a message ahead, and asks for large answers.
        uri = f"ws://{address.host}:{address.port}/live"
        with connect(uri, sock=raw, compression=None, max_queue=1, close_timeout=0.1) as deaf:
            deaf.send('{"conf": 0.0}')
            with pytest.raises(ConnectionClosed):
                _keep_sending(deaf, PICTURE_OF_MUCH)
        _wait_for(address, "detect_tl_clients", 0)
        with joined(address) as live:
            assert "detections" in ask(live, PICTURE)


def _keep_sending(live: ClientConnection, data: bytes) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        live.send(data)
        time.sleep(0.002)


@pytest.mark.slow
def test_eight_clients_at_once(segment_model: Path) -> None:
    """Everybody gets right answers, in turn, and nothing is left behind."""
    mine = psutil.Process()
    counts = [0] * 8
    wrong: list[Any] = []
    frame = encoded(two_cells(), ".jpg")

    def live(number: int) -> None:
        with joined(address) as connection:
            while time.monotonic() < until:
                answer = ask(connection, frame)
                counts[number] += 1
                if boxes(answer) != TWO_BOXES or answer["frame"] != counts[number] - 1:
                    wrong.append(answer)

    def post(number: int) -> None:
        with httpx.Client(base_url=address.url) as client:
            while time.monotonic() < until:
                answer = client.post("/predict", content=frame)
                counts[number] += 1
                if answer.status_code != 200 or boxes(answer.json()) != TWO_BOXES:
                    wrong.append(answer.text)

    with serving(segment_model) as address:
        until = time.monotonic() + 3
        threads = [
            threading.Thread(target=live if number % 2 else post, args=(number,))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert min(counts) > 0
        assert min(counts[1::2]) > max(counts[1::2]) / 3, counts  # in turn
        _wait_for(address, "detect_tl_clients", 0)
        _wait_for(address, "detect_tl_frames_total", sum(counts))
        deadline = time.monotonic() + 30
        while any(one.status != "LISTEN" for one in mine.net_connections()):
            assert time.monotonic() < deadline, "connections are left open"
            time.sleep(0.1)
