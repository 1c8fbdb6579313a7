"""Where the service listens, whom it lets in, and how much it takes from each."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.web.certificate import Certificate

_PACKAGES = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")
# What may stand in an address, a header and a cookie without being escaped.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request, one client and all of them together may ask for.

    max_bytes: of a picture as a file. max_pixels: of it decoded, known before it is decoded.
    rate: requests a second that one address may make, on average; as many may come at once.
    clients: requests and live connections that are served at the same time.
    seconds: in which a request must have arrived. idle: after which a live connection on which
    nothing happens is closed.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    rate: float = 50.0
    clients: int = 16
    seconds: float = 30.0
    idle: float = 120.0

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "rate", "clients", "seconds", "idle"):
            if not getattr(self, name) > 0:
                raise UsageError(
                    f"{name} is {getattr(self, name)}", hint="It must be greater than 0."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """name: of the model, for people. host, port: to listen on; port 0 takes a free one.

    token: what everybody must know who wants anything; None: whoever reaches the service may use
    it, which `for_host` allows on this machine alone. certificate: with one, it speaks HTTPS.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    limits: Limits = field(default_factory=Limits)
    certificate: Certificate | None = None

    @classmethod
    def for_host(
        cls,
        name: str,
        host: str,
        port: int,
        token: str | None,
        limits: Limits,
        *,
        certificate: Certificate | None = None,
    ) -> Settings:
        """Settings with a token made up where one is needed and none is given.

        Raises UsageError for a token that is too short or cannot stand in an address, DataError for
        a certificate that cannot be used.
        """
        if certificate is not None:
            certificate.check()
        if token is not None and not _TOKEN.fullmatch(token):
            raise UsageError(
                "the token cannot be used",
                hint="Take 8 to 200 of: letters, digits, dot, underscore, tilde, hyphen.",
            )
        host = host.strip("[]").lower()  # as it stands in an address
        if token is None and not is_loopback(host):
            token = secrets.token_urlsafe(24)
        return cls(
            name=name, host=host, port=port, token=token, limits=limits, certificate=certificate
        )


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(host: str) -> bool:
    """Whether `host` means all addresses of this machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def check_installed() -> None:
    """Raise MachineError where the packages of the web service are missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MachineError(
            f"the web service is not installed: {', '.join(missing)} missing",
            hint="Install it with: pip install 'detect-tl[serve]'",
        )
