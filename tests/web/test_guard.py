"""Who is let in: names, pages of other sites, and the token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from detect_tl.web.server import Address
from tests.web.clients import assert_refused, at_root, joined, status_of_handshake
from tests.web.conftest import encoded, serving, two_cells

PICTURE = encoded(two_cells())
TOKEN = "a-token-for-tests"  # noqa: S105


@pytest.fixture(scope="module")
def locked(detect_model: Path) -> Iterator[Address]:
    with serving(detect_model, token=TOKEN) as address:
        yield address


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost@evil.example"}, 421),
        ({"host": "[::1"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "http://[::1"}, 403),
    ],
)
def test_pages_of_other_sites(
    client: httpx.Client, service: Address, headers: dict[str, str], status: int
) -> None:
    """A foreign page, and one whose own name was made to point here (DNS rebinding)."""
    assert_refused(client.post("/predict", content=PICTURE, headers=headers), status)
    assert status_of_handshake(service, headers) == status
    if status == 421:
        assert client.get("/", headers=headers).status_code == status


def test_the_handshake_of_these_tests_is_a_true_one(service: Address) -> None:
    assert status_of_handshake(service, {}) == 101


def test_names_of_this_machine(client: httpx.Client, service: Address) -> None:
    for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        host = f"{name}:{service.port}"
        headers = {"host": host, "origin": f"http://{host}"}
        assert client.post("/predict", content=PICTURE, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer \u00e4".encode("latin-1").decode("latin-1")},
        {"cookie": f"other={TOKEN}"},
        {"cookie": '=;=;"='},
    ],
)
def test_without_the_token(locked: Address, headers: dict[str, str]) -> None:
    coded = {name: value.encode("latin-1") for name, value in headers.items()}
    with at_root(locked) as client:
        for path in ("/model", "/metrics", "/openapi.json", "/static/app.js", "/nothing"):
            answer = client.get(path, headers=coded)
            assert_refused(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
        assert_refused(client.post(f"/predict?token={TOKEN}", content=PICTURE, headers=coded), 401)
        assert client.get("/", headers=coded).status_code == 401
        assert client.get("/?token=wrong", headers=coded).status_code == 401
        assert "set-cookie" not in client.get("/?token=wrong", headers=coded).headers
        assert client.get("/healthz", headers=coded).status_code == 200


def test_with_the_token(locked: Address) -> None:
    with at_root(locked) as client:
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.post("/predict", content=PICTURE, headers=bearer).status_code == 200
        schema = client.get("/openapi.json", headers=bearer).json()
        assert schema["paths"]["/predict"]["post"]["security"] == [{"HTTPBearer": []}]
        page = client.get(f"/?token={TOKEN}")
        assert page.status_code == 200
        cookie = page.headers["set-cookie"]
        assert cookie.startswith(f"detect_tl_{locked.port}={TOKEN}; ")
        assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
        assert client.get("/model").status_code == 200  # by the cookie
        for path, headers in ((f"/live?token={TOKEN}", {}), ("/live", bearer)):
            with joined(locked, headers, path):
                pass
        for path in ("/live", "/live?token=wrong"):
            with pytest.raises(InvalidStatus) as refusal, joined(locked, {}, path):
                pass
            assert refusal.value.response.status_code == 401
