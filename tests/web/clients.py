"""Clients of the service, well-behaved ones and others."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.sync.client import connect

from detect_tl.web.guard import SECURITY_HEADERS
from detect_tl.web.server import Address


def boxes(record: dict[str, Any]) -> dict[str, list[float]]:
    """The boxes of an answer by class, of which there is one each."""
    return {item["class"]: item["xyxy"] for item in record["detections"]}


def assert_refused(answer: httpx.Response, status: int) -> None:
    """One sentence, the headers that protect a browser, and nothing of how it is made."""
    assert answer.status_code == status, answer.text
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert list(answer.json()) == ["detail"]
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


@contextmanager
def at_root(address: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{address.host}:{address.port}") as client:
        yield client


def joined(address: Address, headers: dict[str, str] | None = None, path: str = "/live") -> Any:
    """A WebSocket to the service; raise InvalidStatus when it does not let us in."""
    uri = f"ws://{address.host}:{address.port}{path}"
    return connect(uri, additional_headers=headers, compression=None)


def status_of_handshake(address: Address, headers: dict[str, str]) -> int:
    """As `joined`, but with a name of our own for the service, which the library does not allow."""
    host = f"{address.host}:{address.port}"
    told = {"host": host, "upgrade": "websocket", "connection": "Upgrade", **headers}
    told |= {"sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    lines = ["GET /live HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return int(spoken(address, "\r\n".join([*lines, "", ""]).encode()).split()[1])


def spoken(address: Address, text: bytes) -> bytes:
    """The beginning of what the service answers to raw bytes, in which %s is its name."""
    with connected(address, text) as raw:
        return raw.recv(65536)


def connected(address: Address, text: bytes) -> socket.socket:
    raw = socket.create_connection((address.host, address.port), timeout=30)
    raw.sendall(text.replace(b"%s", f"{address.host}:{address.port}".encode()))
    return raw
