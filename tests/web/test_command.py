"""`detect-tl serve` as a user runs it: it says where it is, refuses clearly and stops cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Run, process, refused, run  # noqa: F401  # fixture
from tests.web.clients import boxes
from tests.web.conftest import TWO_BOXES, encoded, two_cells

PICTURE = encoded(two_cells())


@contextmanager
def started(*arguments: object, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which is killed in the end if it still runs."""
    command = [sys.executable, "-m", "detect_tl", "serve", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DETECT_TL_SERVE")}
    with subprocess.Popen(command, env={**kept, **variables}, **pipes) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(detect_model: Path, number: int) -> None:
    with started(detect_model, "--port", 0, "--conf", 0.6) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        answer = httpx.post(f"{url}predict", content=PICTURE)
        assert boxes(answer.json()) == TWO_BOXES
        assert answer.json()["name"] == "image"
        child.send_signal(number)
        rest, told = child.communicate(timeout=60)
        assert (child.returncode, rest) == (0, "")
        assert told.splitlines()[-1] == "Ctrl-C ends it."
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def test_another_address_needs_a_token(detect_model: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    script.chmod(0o755)
    arguments = (detect_model, "--port", 0, "--host", "0.0.0.0", "--json", "--open")  # noqa: S104
    with started(*arguments, BROWSER=f"{script} %s") as child:
        assert child.stdout is not None
        lines = iter(child.stdout.readline, "}\n")
        told = json.loads("".join(lines) + "}")
        assert told["url"].endswith(f":{told['port']}/?token={told['token']}")
        assert len(told["token"]) >= 32
        base = f"http://127.0.0.1:{told['port']}"
        assert httpx.get(f"{base}/model").status_code == 401
        bearer = {"Authorization": f"Bearer {told['token']}"}
        assert httpx.get(f"{base}/model", headers=bearer).json()["name"] == "colours.onnx"
        # Whoever listens on all networks cannot know all of its own names.
        named = {**bearer, "Host": "box.example"}
        assert httpx.get(f"{base}/model", headers=named).status_code == 200
        assert opened.read_text().strip() == told["url"]


def test_limits_are_those_of_the_command_line(detect_model: Path) -> None:
    limits = ("--max-size", 0.02, "--max-pixels", 640 * 480, "--rate", 0.01, "--timeout", 0.5)
    with started(detect_model, "--port", 0, *limits, "--token", "my-own-token") as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert url.endswith("/?token=my-own-token")
        base, bearer = url.partition("?")[0], {"Authorization": "Bearer my-own-token"}
        with httpx.Client(base_url=base, headers=bearer) as client:
            told = client.get("/model").json()
            assert (told["max_bytes"], told["max_pixels"]) == (20_000, 640 * 480)
            assert client.post("/predict", content=_never()).status_code == 408
            assert client.post("/predict", content=PICTURE).status_code == 429


def _never() -> Iterator[bytes]:
    """A body whose second part comes too late."""
    yield b"a"
    time.sleep(1.5)
    yield b"b"


def test_a_port_that_is_taken(run: Run, detect_model: Path) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(run("serve", detect_model, "--port", port), 5, f"port {port}", "--port 0")


def test_what_cannot_be_served(run: Run, detect_model: Path, tmp_path: Path) -> None:  # noqa: F811
    refused(run("serve", detect_model, "--host", "no.such.host.invalid"), 2, "no.such.host")
    refused(run("serve", detect_model, "--host", "192.0.2.7", "--port", 0), 5, "192.0.2.7")
    refused(run("serve", detect_model, "--token", "short"), 2, "token", "8 to 200")
    refused(run("serve", detect_model, "--token", "with space and ;"), 2, "token")
    refused(run("serve", detect_model, "--conf", "auto"), 2, "keeps no thresholds")
    refused(run("serve", tmp_path / "missing.onnx"), 4, "missing.onnx")
    refused(run("serve", detect_model, "--clients", 0), 2, "--clients")


def test_without_its_packages_it_says_how_to_get_them(detect_model: Path) -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from detect_tl.cli.app import app; app.main(sys.argv[1:])"
    )
    done = process(["serve", detect_model], code=code)
    assert done.returncode == 5
    assert "pip install 'detect-tl[serve]'" in done.stderr
    assert "Traceback" not in done.stderr
