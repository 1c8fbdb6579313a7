"""A folder over HTTP, which can hold back the pictures from a number on until it is let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread


class Server:
    """asked: numbers of pictures that were asked for. held: from which number on none is given."""

    def __init__(self, held: int | None) -> None:
        self.address = ""
        self.asked: set[int] = set()
        self._held = held
        self._changed = Condition()

    def let_go(self) -> None:
        with self._changed:
            self._held = None
            self._changed.notify_all()

    def wait_until_asked(self, enough: Callable[[set[int]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self.asked), 180), self.asked

    def answer(self, name: str) -> None:
        """Note a request, and return when it may be answered."""
        stem = Path(name).stem
        if not stem.isdecimal():
            return
        with self._changed:
            self.asked.add(int(stem))
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._held is None or int(stem) < self._held)


@contextmanager
def served(folder: Path, *, held: int | None = None) -> Iterator[Server]:
    """Give the folder an address."""
    told = Server(held)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            told.answer(self.path)
            super().do_GET()

        def log_message(self, *_args: object) -> None:
            pass

    class Patient(ThreadingHTTPServer):
        def handle_error(self, *_args: object) -> None:
            pass  # whoever asked was killed

    with Patient(("127.0.0.1", 0), Handler) as server:
        told.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            told.let_go()
            server.shutdown()
            thread.join()


def addresses(server: Server, folder: Path, listed: Path) -> Path:
    """Write a list of the addresses of all pictures, in the order of their numbers."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png")))
    listed.write_text("".join(f"{server.address}/{name}\n" for name in names))
    return listed
