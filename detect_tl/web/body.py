"""The picture in the body of a request: raw, or as a file of a form; never too much, never slow."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from detect_tl.web.settings import Limits

# What a form may add to the file in it.
_FORM_BYTES = 20_000


async def sent_picture(request: Request, limits: Limits) -> tuple[bytes, str]:
    """The bytes of the picture, and its name.

    Raises HTTPException: 413 for more bytes than are taken, 408 for a body that does not arrive in
    time, 400 for a form that is broken or has no file, 415 for a body that is compressed.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Compressed bodies are not taken; send the picture as it is.")
    body = await _read(request, limits.max_bytes + _FORM_BYTES * form, limits.seconds)
    data, name = await _file(request, body) if form else (body, "image")
    if len(data) > limits.max_bytes:
        raise _too_large(limits.max_bytes)
    if not data:
        raise HTTPException(422, "There is no picture in the request.")
    return data, name


async def _read(request: Request, most: int, seconds: float) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError as error:
        raise HTTPException(408, f"The request did not arrive within {seconds:g} s.") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "The request ended too soon.") from error
    return b"".join(parts)


async def _file(request: Request, body: bytes) -> tuple[bytes, str]:
    """The content and the name of `file` in a form that has been read."""
    scope: dict[str, Any] = dict(request.scope)

    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async with Request(scope, replay).form(max_files=1, max_fields=8) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise HTTPException(400, "The form has no file called `file`.")
        return await file.read(), file.filename or "image"


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The request is too large; at most {most} bytes are taken.")
