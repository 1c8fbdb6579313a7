"""The gate before everything: right name, right page, right token; and headers on every answer."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from detect_tl.web.settings import Settings, is_wildcard

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = frozenset({"/healthz"})
# The page is opened, and the socket joined, by an address; everything else takes a header.
_TOKEN_IN_ADDRESS = frozenset({"/", "/live"})


@dataclass(slots=True)
class Guard:
    """ASGI middleware that lets nobody through whom `_check` refuses."""

    app: ASGIApp
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if self.settings.token is not None and _shows_page(scope, message):
                    headers.append("Set-Cookie", self._cookie())
            await send(message)

        try:
            self._check(scope)
        except HTTPException as refusal:
            await refuse(scope, receive, headed, refusal)
            return
        await self.app(scope, receive, headed)

    def _check(self, scope: Scope) -> None:
        """Raise HTTPException: 421 for a foreign name, 403 for a foreign page, 401 without token.

        The name that the client believes to talk to: a page of a stranger can point its own name
        at this machine (DNS rebinding), but cannot make the browser send another one.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        known = {*_LOOPBACK_NAMES, self.settings.host}
        if not is_wildcard(self.settings.host) and _name(host) not in known:
            raise HTTPException(421, "This service does not answer to that name.")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        origin = headers.get("origin")
        if changes and origin is not None and _place(origin) != host.lower():
            raise HTTPException(403, "Requests from pages of other sites are refused.")
        if self.settings.token is not None and scope["path"] not in _OPEN:
            self._check_token(scope, headers, self.settings.token)

    def _check_token(self, scope: Scope, headers: Headers, token: str) -> None:
        given = [_bearer(headers), _cookies(headers).get(_cookie_name(self.settings), "")]
        if scope["path"] in _TOKEN_IN_ADDRESS:
            given += _in_address(scope)
        # All are compared, so that the time says nothing about which one was near.
        same = [hmac.compare_digest(text.encode(), token.encode()) for text in given]
        if not any(same):
            raise HTTPException(
                401,
                "This service wants a token: open the address that was shown when it started.",
                {"WWW-Authenticate": "Bearer"},
            )

    def _cookie(self) -> str:
        name = _cookie_name(self.settings)
        secure = "" if self.settings.certificate is None else "; Secure"
        return f"{name}={self.settings.token}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _shows_page(scope: Scope, message: Message) -> bool:
    """Whether the page is being given to somebody who came with the token in the address."""
    opened = scope["type"] == "http" and scope["path"] == "/" and bool(_in_address(scope))
    return opened and message["status"] == 200


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: HTTPException) -> None:
    """Answer with a status and one sentence, to a request or to an attempt at a WebSocket."""
    response: Response
    if scope["path"] == "/":
        response = PlainTextResponse(refusal.detail, refusal.status_code, refusal.headers)
    else:
        body = {"detail": refusal.detail}
        response = JSONResponse(body, refusal.status_code, refusal.headers)
    if scope["type"] == "http":
        await response(scope, receive, send)
    else:
        socket = WebSocket(scope, receive, send)
        await socket.receive()
        await socket.send_denial_response(response)


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str) -> str:
    """The name and port of an origin; "" for "null" and for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _bearer(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def _cookie_name(settings: Settings) -> str:
    """Cookies do not keep ports apart, so two services on one machine need two names."""
    return f"detect_tl_{settings.port}"


def _in_address(scope: Scope) -> list[str]:
    try:
        return parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("token", [])
    except ValueError:  # too many fields
        return []
