"""The service as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query as FromQuery, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from detect_tl import __version__
from detect_tl.runtime.detector import Detector
from detect_tl.web import schema
from detect_tl.web.admission import Places, Rate
from detect_tl.web.body import sent_picture
from detect_tl.web.engine import Engine
from detect_tl.web.guard import Guard, refuse
from detect_tl.web.live import Live
from detect_tl.web.metrics import CONTENT_TYPE, CountRequests, Metrics
from detect_tl.web.settings import Settings

STATIC = Path(__file__).parent / "static"

_DESCRIPTION = (
    "Finds objects on pictures. Answers that are no success have one sentence in `detail`. "
    "The WebSocket /live takes pictures as binary messages and gives the records of /predict."
)


def make_app(detector: Detector, settings: Settings) -> ASGIApp:
    """The page, the HTTP API and the live connection for one detector.

    The detector stays open; whoever made it closes it after the application has shut down.
    Raises WeightsError when its model cannot be that of a detector.
    """
    metrics = Metrics.create()
    engine = Engine(detector, settings, metrics)
    engine.warm_up()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close()

    app = FastAPI(
        title="detect-tl",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        responses=schema.problems(403, 421, *([401] if settings.token else [])),
    )
    app.exception_handler(RequestValidationError)(_say_what_is_wrong)
    app.exception_handler(Exception)(_say_nothing)
    _add_facts(app, engine, metrics, settings)
    _add_detection(app, engine, metrics, settings)
    app.mount("/static", StaticFiles(directory=STATIC))
    # Around the whole: FastAPI's own middleware would miss the answers to unexpected errors.
    return CountRequests(Guard(app, settings), metrics)


def _locked(settings: Settings) -> list[Any]:
    """For the description alone: `Guard` has looked at the token before."""
    return [Depends(HTTPBearer(auto_error=False))] if settings.token else []


def _add_facts(app: FastAPI, engine: Engine, metrics: Metrics, settings: Settings) -> None:
    """Page, health, numbers and the model."""
    locked = _locked(settings)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/healthz", summary="Whether the service runs", response_model=schema.Health)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/model", summary="The model", dependencies=locked, response_model=schema.Model)
    async def model() -> dict[str, Any]:
        return engine.describe()

    @app.get(
        "/metrics",
        summary="Numbers for Prometheus",
        dependencies=locked,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_detection(app: FastAPI, engine: Engine, metrics: Metrics, settings: Settings) -> None:
    limits = settings.limits
    places, rate = Places(limits.clients, metrics.clients), Rate(limits.rate)

    @app.post(
        "/predict",
        summary="Detect on a picture",
        dependencies=_locked(settings),
        responses={
            200: {"model": schema.Prediction, "content": {"image/jpeg": {}}},
            **schema.problems(400, 408, 413, 415, 422, 429, 503),
        },
        openapi_extra=schema.PREDICT_BODY,
    )
    async def predict(request: Request, query: Annotated[schema.Query, FromQuery()]) -> Response:
        rate.take(_address(request))
        asked = query.model_dump()
        names = asked.pop("classes")
        wish = engine.wish(classes=None if names is None else _words(names), **asked)
        with places.one():
            data, name = await sent_picture(request, limits)
            answer = await engine.answer(data, wish, name=name)
        return Response(answer, media_type="image/jpeg" if wish.annotated else "application/json")

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        try:
            rate.take(_address(socket))
            with places.one():
                await Live(socket, engine, metrics, limits).run()
        except HTTPException as refusal:
            await refuse(socket.scope, socket.receive, socket.send, refusal)


def _words(text: str) -> list[str | int]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _address(connection: Request | WebSocket) -> str:
    return connection.client.host if connection.client else ""


async def _say_what_is_wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": schema.in_words(error.errors())}, 422)


async def _say_nothing(_: Request, error: Exception) -> Response:
    """What nobody foresaw is for the log, not for strangers."""
    del error
    return JSONResponse({"detail": "Something went wrong here; the server's log says what."}, 500)
