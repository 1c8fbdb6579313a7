"""Pictures over a WebSocket: the newest one is looked at, and nothing queues up.

A client sends pictures as binary messages, and its settings as JSON texts such as
{"conf": 0.4, "classes": [0, 2], "masks": true}. For a picture it gets a record as of `as_record`,
whose `frame` counts the pictures that it sent, or {"frame": n, "error": "…"}; for settings that
cannot be, {"error": "…"}. A picture that came while the one before was looked at replaces any that
waits, and the one replaced gets no answer.
"""

from __future__ import annotations

import asyncio

import orjson
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from detect_tl.web.engine import Engine, Wish
from detect_tl.web.metrics import Metrics
from detect_tl.web.schema import LiveSettings, in_words
from detect_tl.web.settings import Limits

# A client that does not take its answers within this time is gone, or means harm.
_SECONDS_TO_SEND = 10.0
_GOING = 1001
# Characters; all numbers of a model with very many classes.
_LONGEST_SETTINGS = 1_000_000


class Live:
    """One client, from the handshake to the end."""

    def __init__(self, socket: WebSocket, engine: Engine, metrics: Metrics, limits: Limits) -> None:
        self._socket, self._engine, self._metrics, self._limits = socket, engine, metrics, limits
        self._wish = Wish()
        self._count = 0
        self._newest: tuple[int, bytes] | None = None
        self._changed = asyncio.Event()
        self._gone = False

    async def run(self) -> None:
        """Answer until the client leaves, or nothing has come from it for long."""
        await self._socket.accept()
        reader = asyncio.create_task(self._read())
        try:
            while (item := await self._next()) is not None:
                await self._send(await self._answer(*item))
            if not self._gone:
                await self._socket.close(_GOING, "idle")
        except (WebSocketDisconnect, TimeoutError):
            return  # it left, or does not listen; there is nobody to tell
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _next(self) -> tuple[int, bytes] | None:
        """The newest picture that has not been looked at; None at the end."""
        while self._newest is None and not self._gone:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._limits.idle):
                    await self._changed.wait()
            except TimeoutError:
                return None
        item, self._newest = self._newest, None
        return None if self._gone else item

    async def _answer(self, index: int, data: bytes) -> bytes:
        try:
            return await self._engine.answer(data, self._wish, name="live", index=index)
        except HTTPException as error:
            return orjson.dumps({"frame": index, "error": error.detail})

    async def _read(self) -> None:
        """Take what the client sends, as it comes."""
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                if message.get("bytes") is not None:
                    self._metrics.dropped.inc(self._newest is not None)
                    self._newest = self._count, message["bytes"]
                    self._count += 1
                else:
                    await self._set(message.get("text") or "")
                self._changed.set()
        finally:
            self._gone = True
            self._changed.set()

    async def _set(self, text: str) -> None:
        try:
            if len(text) > _LONGEST_SETTINGS:
                raise HTTPException(413, "The settings are too long.")
            asked = LiveSettings.model_validate_json(text)
            classes = None if asked.classes is None else list[str | int](asked.classes)
            self._wish = self._engine.wish(conf=asked.conf, classes=classes, masks=asked.masks)
        except ValidationError as error:
            await self._send(orjson.dumps({"error": in_words(error.errors())}))
        except HTTPException as error:
            await self._send(orjson.dumps({"error": error.detail}))

    async def _send(self, answer: bytes) -> None:
        async with asyncio.timeout(_SECONDS_TO_SEND):
            await self._socket.send_text(answer.decode())
