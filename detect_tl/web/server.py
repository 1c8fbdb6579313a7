"""Listening, and stopping."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.runtime.detector import Detector
from detect_tl.web.app import make_app
from detect_tl.web.settings import Settings, is_wildcard

# To send the head of a request, and to leave once answered, in seconds.
_HEAD = 10.0
_GRACE = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service is to be found; `url` has the token in it, if there is one."""

    url: str
    host: str
    port: int
    token: str | None

    def as_json(self) -> dict[str, Any]:
        return {"url": self.url, "host": self.host, "port": self.port, "token": self.token}


def serve(
    detector: Detector, settings: Settings, announce: Callable[[Address], None] | None = None
) -> None:
    """Serve until Ctrl-C or SIGTERM; the detector stays open.

    announce: called once connections are accepted, with the address.
    Raises MachineError when the port is taken or may not be used, UsageError for a host that is
    not one of this machine's.
    """
    with closing(listen(settings.host, settings.port)) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
        server = make_server(detector, settings)
        if announce is not None:
            announce(address_of(settings))
        server.run(sockets=[listener])


def make_server(detector: Detector, settings: Settings) -> Server:
    """A server that is not yet running; `settings.port` is the real one."""
    limits, certificate = settings.limits, settings.certificate
    return Server(
        uvicorn.Config(
            make_app(detector, settings),
            http=PatientProtocol,
            ws=EndingWebSocket,
            ws_max_size=limits.max_bytes,
            ws_per_message_deflate=False,  # pictures do not shrink, and bombs do
            limit_concurrency=2 * limits.clients + 64,
            timeout_graceful_shutdown=_GRACE,
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="error",
            ssl_certfile=None if certificate is None else certificate.file,
            ssl_keyfile=None if certificate is None else certificate.key,
        )
    )


class Server(uvicorn.Server):
    """Ends on a signal as if it had been asked to, instead of passing the signal on."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class PatientProtocol(H11Protocol):
    """HTTP whose patience ends: uvicorn itself waits for the head of a request for ever."""

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = self.loop.call_later(_HEAD, self._give_up)

    def _give_up(self) -> None:
        """Cut a connection on which no request is being answered."""
        upgraded = self.transport.get_protocol() is not self
        if upgraded or (self.cycle is not None and not self.cycle.response_complete):
            return
        begun = bool(self.conn.trailing_data[0])
        if begun and self.conn.our_state is h11.IDLE and not self.transport.is_closing():
            head = h11.Response(
                status_code=408, headers=[("Connection", "close"), ("Content-Length", "0")]
            )
            self.transport.write(self.conn.send(head) or b"")
        self.transport.close()
        # What the other side does not take must not keep the connection open.
        self.loop.call_later(_GRACE, self.transport.abort)


class EndingWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends with its task, even when the other side takes nothing any more."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(_GRACE, self.transport.abort)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raise MachineError and UsageError as `serve` does."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(
            f"there is no host {host!r}", hint="Take 127.0.0.1, or 0.0.0.0 for all networks."
        ) from error
    reason = ""
    for family, kind, protocol, _, address in found:
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError as error:
            listener.close()
            reason = (error.strerror or str(error)).lower()
        else:
            return listener
    raise MachineError(
        f"cannot listen on {host} port {port}: {reason}",
        hint="Take another port, such as --port 8001, or --port 0 for any free one.",
    )


def address_of(settings: Settings) -> Address:
    """What a person types to get there."""
    host = own_address() if is_wildcard(settings.host) else settings.host
    shown = f"[{host}]" if ":" in host else host
    query = f"?token={settings.token}" if settings.token else ""
    scheme = "http" if settings.certificate is None else "https"
    url = f"{scheme}://{shown}:{settings.port}/{query}"
    return Address(url, settings.host, settings.port, settings.token)


def own_address() -> str:
    """The address of this machine in its network. Asking for it sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # an address that belongs to nobody (RFC 5737)
        except OSError:
            return "127.0.0.1"
        name: str = asked.getsockname()[0]
        return name
