"""The bytes of a file, from a disk or an address, wherever this runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from detect_tl.core.errors import DataError, MachineError
from detect_tl.runtime.sources import is_address

_PAUSES = (0.5, 2.0)
"""Seconds before what failed over a network is tried again."""
_TIMEOUT = 60.0
_GOOGLE = ("gs", "gcs")
_STORES = ("s3", *_GOOGLE)
"""What Arrow reads by itself, without a package for fsspec."""
_GOOGLE_PATIENCE = "retry_limit_seconds=15"
"""Its client would try for a quarter of an hour to find credentials, or what does not answer."""
_OF_GOOGLE = re.compile(
    r"google::cloud::Status\(.*?last message of (?:.*?underlying error message was: )?(.*?)"
    r"(?: error_info=|$)",
    re.DOTALL,
)


def read_bytes(place: str) -> bytes:
    """A whole file; raise DataError saying why it cannot be read.

    Over a network, what may be gone in a moment is tried again, and what is missing is not.
    Raises MachineError where nothing can be read of this kind of address.
    """
    if not is_address(place):
        return _on_disk(place)
    passing = _passing_errors()
    for pause in (*_PAUSES, None):
        try:
            with open_binary(place) as stream:
                return stream.read()
        except (FileNotFoundError, PermissionError, ValueError) as error:
            _refuse_without_credentials(error)
            raise DataError(f"cannot be read: {_reason(error)}") from error
        except passing as error:
            _refuse_without_credentials(error)
            if pause is None or _is_final(error):
                raise DataError(f"cannot be read: {_reason(error)}") from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def open_binary(place: str) -> Iterator[IO[bytes]]:
    """A path or an address, open for reading; raises what its file system raises."""
    if not is_address(place):
        with Path(place).open("rb") as stream:
            yield stream
        return
    file_system, path = _file_system(place)
    with file_system.open(path, "rb") as stream:
        yield cast("IO[bytes]", stream)


def _on_disk(place: str) -> bytes:
    if not place:
        raise DataError("the row names no image")
    try:
        return Path(place).read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {_reason(error)}") from error


def _file_system(place: str) -> tuple[Any, str]:
    """What opens an address, kept by fsspec from one file to the next.

    Raises MachineError where a package for this kind of address is missing.
    """
    import fsspec

    scheme = urlsplit(place).scheme.lower()
    if scheme in _STORES:
        parts = urlsplit(place)
        return _store(scheme, parts.netloc, parts.query), f"{parts.hostname}{unquote(parts.path)}"
    options: dict[str, Any] = {}
    if scheme in ("http", "https"):
        import aiohttp

        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=_TIMEOUT)}
    try:
        opened: tuple[Any, str] = fsspec.core.url_to_fs(place, **options)
    except ImportError as error:
        raise MachineError(
            f"{scheme}:// addresses need a package that is not installed: {_reason(error)}",
            hint="Install it on every node.",
        ) from error
    return opened


@lru_cache(maxsize=64)
def _store(scheme: str, netloc: str, query: str) -> Any:
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    if scheme in _GOOGLE and "retry_limit_seconds" not in query:
        query = "&".join(filter(None, (query, _GOOGLE_PATIENCE)))
    found, _ = fs.FileSystem.from_uri(urlunsplit((scheme, netloc, "/", query, "")))
    return ArrowFSWrapper(found)


def _passing_errors() -> tuple[type[Exception], ...]:
    """What a network or a server may do now and not in a moment."""
    import pyarrow as pa

    errors: tuple[type[Exception], ...] = (OSError, pa.ArrowException)
    try:
        import aiohttp
    except ImportError:
        return errors
    return (*errors, aiohttp.ClientError)


def _refuse_without_credentials(error: Exception) -> None:
    """Raise MachineError where Google was not even asked, as it would be for all other images."""
    if "Could not create a OAuth2 access token" not in str(error):
        return
    raise MachineError(
        f"this machine has no credentials for Google Cloud Storage: {_reason(error)}",
        hint="Set GOOGLE_APPLICATION_CREDENTIALS to their file on every node, or write"
        " gs://anonymous@BUCKET/… for what everybody may read.",
    ) from error


def _is_final(error: Exception) -> bool:
    """Whether a server said that it will not give this, rather than that it cannot now."""
    status = getattr(error, "status", None)
    return status is not None and 400 <= status < 500 and status not in (408, 429)


def _reason(error: BaseException) -> str:
    known = getattr(error, "strerror", None)
    text = str(known or error).strip()
    google = _OF_GOOGLE.search(text)
    lines = (google[1] if google else text).splitlines()
    return lines[0] if lines else type(error).__name__
