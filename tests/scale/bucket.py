"""A folder as a bucket of Google Cloud Storage, in a process of its own: Arrow holds Python's lock
while it waits for an answer, so a server beside it could give none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@contextmanager
def as_bucket(folder: Path) -> Iterator[str]:
    """Give what follows `?` in the address of a file of it; the bucket has any name."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            yield f"scheme=http&endpoint_override=127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


class _Bucket(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        name = unquote(asked.path.rpartition("/o/")[2])
        path = Path(sys.argv[1], name)
        if not path.is_file():
            error = {"code": 404, "message": f"No such object: {name}"}
            self._answer(404, json.dumps({"error": error}).encode())
        elif "alt=media" in asked.query:
            self._answer(200, path.read_bytes())
        else:
            facts = {"name": name, "size": str(path.stat().st_size)}
            self._answer(200, json.dumps(facts).encode())

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bucket) as running:
        sys.stdout.write(f"{running.server_port}\n")
        sys.stdout.flush()
        running.serve_forever()
