"""What Prometheus is told, and the middleware that counts requests."""

from __future__ import annotations

import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# Other paths and methods count as "other", so that strangers cannot make up new series.
_PATHS = frozenset({"/", "/predict", "/healthz", "/metrics", "/model", "/openapi.json", "/live"})
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Metrics:
    """The series of one service, in a registry of their own."""

    registry: CollectorRegistry
    requests: Counter
    latency: Histogram
    inference: Histogram
    clients: Gauge
    frames: Counter
    dropped: Counter

    @classmethod
    def create(cls) -> Metrics:
        own = CollectorRegistry()
        return cls(
            own,
            Counter(
                "detect_tl_requests",
                "HTTP requests by path, method and status.",
                ("path", "method", "status"),
                registry=own,
            ),
            Histogram(
                "detect_tl_request_seconds",
                "From the first byte of a request to the last of its answer.",
                ("path",),
                buckets=_SECONDS,
                registry=own,
            ),
            Histogram(
                "detect_tl_inference_seconds",
                "What the model took for one picture.",
                buckets=_SECONDS,
                registry=own,
            ),
            Gauge("detect_tl_clients", "Requests and live connections now served.", registry=own),
            Counter("detect_tl_frames", "Pictures on which was detected.", registry=own),
            Counter(
                "detect_tl_frames_dropped", "Live frames that a newer one replaced.", registry=own
            ),
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)


@dataclass(slots=True)
class CountRequests:
    """ASGI middleware: one count and one duration for every HTTP request."""

    app: ASGIApp
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _path(scope["path"])
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = 500
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            self.metrics.requests.labels(path, method, str(status)).inc()
            self.metrics.latency.labels(path).observe(time.perf_counter() - started)


def _path(path: str) -> str:
    if path.startswith("/static/"):
        return "/static"
    return path if path in _PATHS else "other"
