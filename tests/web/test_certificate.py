"""HTTPS, with real certificates that openssl makes."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from detect_tl.core.errors import DataError
from detect_tl.web.certificate import Certificate
from detect_tl.web.server import Address
from tests.cli.conftest import process
from tests.web.clients import boxes
from tests.web.conftest import TWO_BOXES, encoded, serving, two_cells

TOKEN = "a-token-of-ours"  # noqa: S105


def openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of a certificate and its key, one pair in one file, and a key with a password."""
    made = tmp_path_factory.mktemp("certificates")
    for name in ("cert", "other"):
        files = ("-keyout", made / f"{name}.key", "-out", made / f"{name}.pem")
        names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        openssl("req", "-x509", *curve, "-nodes", "-days", 2, *names, *files)
    (made / "both.pem").write_text(
        (made / "cert.pem").read_text() + (made / "cert.key").read_text()
    )
    locked = ("-aes256", "-passout", "pass:secret", "-out", made / "locked.key")
    openssl("pkey", "-in", made / "cert.key", *locked)
    (made / "nonsense.pem").write_text("no certificate\n")
    return made


@pytest.fixture(scope="module", params=["two files", "one file"])
def service(detect_model: Path, folder: Path, request: pytest.FixtureRequest) -> Iterator[Address]:
    apart = Certificate(folder / "cert.pem", folder / "cert.key")
    together = Certificate(folder / "both.pem")
    certificate = apart if request.param == "two files" else together
    with serving(detect_model, token=TOKEN, certificate=certificate) as address:
        yield address


def test_it_answers_who_trusts_the_certificate(service: Address, folder: Path) -> None:
    assert service.url == f"https://127.0.0.1:{service.port}/?token={TOKEN}"
    trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    with httpx.Client(verify=trust) as client:
        page = client.get(service.url)
        assert page.status_code == 200
        assert page.headers["set-cookie"].endswith("; Secure")
        # the cookie alone lets the page go on
        answer = client.post(
            f"https://127.0.0.1:{service.port}/predict", content=encoded(two_cells())
        )
        assert boxes(answer.json()) == TWO_BOXES
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    live = f"wss://127.0.0.1:{service.port}/live"
    with connect(live, additional_headers=bearer, ssl=trust, compression=None) as socket:
        socket.send(encoded(two_cells()))
        assert boxes(json.loads(socket.recv(timeout=30))) == TWO_BOXES


def test_others_get_no_word(service: Address) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://127.0.0.1:{service.port}/healthz")  # nobody vouches for it
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{service.port}/healthz")


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("none.pem", None, "no such file"),
        ("cert.pem", "none.key", "no such file"),
        ("cert.pem", "other.key", "not that of the certificate"),
        ("cert.pem", "locked.key", "protected by a password"),
        ("cert.pem", None, "cannot be used"),
        ("nonsense.pem", "cert.key", "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused(
    folder: Path, certificate: str, key: str | None, words: str
) -> None:
    with pytest.raises(DataError, match=words) as refused:
        Certificate(folder / certificate, None if key is None else folder / key).check()
    assert refused.value.hint


def test_the_command_refuses_before_it_loads_anything(folder: Path, detect_model: Path) -> None:
    done = process(["serve", detect_model, "--certificate", folder / "none.pem"])
    assert done.returncode == DataError.exit_code
    assert "none.pem" in done.stderr
    done = process(["serve", detect_model, "--key", folder / "cert.key"])
    assert done.returncode == 2
    assert "--key goes with --certificate" in done.stderr
