"""A real server in a thread of this process, with a model that has exact answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from detect_tl.core.images import Image
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector
from detect_tl.web.certificate import Certificate
from detect_tl.web.server import Address, address_of, listen, make_server
from detect_tl.web.settings import Limits, Settings
from tests.browser import Tab, browser
from tests.runtime.conftest import detect_model, picture, segment_model  # noqa: F401  # fixtures
from tests.web.scene import camera_file

CONF = 0.6
"""Above what the model answers for grey padding, 0.447."""


@contextmanager
def serving(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    conf: float | Mapping[str, float] = CONF,
    certificate: Certificate | None = None,
    **limits: Any,
) -> Iterator[Address]:
    """Serve a model, on a free port, with limits that no test meets by accident."""
    bounds = Limits(**{"rate": 1e6, **limits})
    with closing(Detector(load_backend(model), conf=conf)) as detector:
        listener = listen(host, port)
        port = listener.getsockname()[1]
        settings = Settings.for_host(model.name, host, port, token, bounds, certificate=certificate)
        server = make_server(detector, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield address_of(settings)
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            listener.close()
            assert not thread.is_alive(), "the server does not stop"


@pytest.fixture(scope="module")
def service(detect_model: Path) -> Iterator[Address]:  # noqa: F811
    with serving(detect_model) as address:
        yield address


@pytest.fixture
def client(service: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url) as made:
        yield made


def two_cells(size: tuple[int, int] = (640, 480)) -> Image:
    """A red and a green cell of the model, ten times enlarged, on black."""
    return picture(*size, (80, 160, 160, 240, "red"), (400, 240, 480, 320, "green"))


TWO_BOXES = {"red": [80, 160, 160, 240], "green": [400, 240, 480, 320]}


def encoded(image: Image, suffix: str = ".png") -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("browser")
    with browser(
        folder / "profile",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file(folder / 'camera.y4m')}",
    ) as opened:
        opened.call("DOM.enable")
        yield opened


@pytest.fixture(scope="session")
def page(segment_model: Path) -> Iterator[Address]:  # noqa: F811
    with serving(segment_model) as address:
        yield address
