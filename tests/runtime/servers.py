"""A camera in the network, as the tests play it: JPEG after JPEG over HTTP, which can go away."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import cv2
import numpy as np

LEVEL = 8
"""Steps of brightness between one frame and the next, far more than JPEG blurs."""


def numbered(number: int) -> bytes:
    """A JPEG whose brightness says its number, 0 to 31."""
    image = np.full((32, 64, 3), number % 32 * LEVEL, np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def number_of(image: np.ndarray) -> int:
    return round(float(image.mean()) / LEVEL)


class JpegCamera:
    """Gives numbered frames to whoever connects, from 0 on for every connection.

    count: frames until it closes the connection, None for no end. `stop` takes it off the network,
    and whoever is connected is cut off; `start` brings it back at the same address.
    """

    def __init__(self, *, fps: float = 100, count: int | None = None) -> None:
        self.fps, self.count = fps, count
        self.connections = 0
        self._port = 0
        self._server: _Server | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/live.mjpg"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.camera = self
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.cut_off()

    def __enter__(self) -> JpegCamera:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    camera: JpegCamera

    def __init__(self, *arguments: object) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def cut_off(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed already

    def handle_error(self, request: object, client_address: object) -> None:
        """Who hangs up is no error; tests print nothing."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        camera = self.server.camera
        camera.connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while camera.count is None or number < camera.count:
            data = numbered(number)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            number += 1
            time.sleep(1 / camera.fps)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""
