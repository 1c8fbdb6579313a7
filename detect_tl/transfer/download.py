"""Downloading one checked file: resumed when it broke off, whole in its place or not at all."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import WeightsError
from detect_tl.core.files import disk_errors
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    import requests

TIMEOUT = (5.0, 20.0)
"""Seconds to wait for a connection, and for the next bytes."""

_CHUNK = 1 << 18
_ABANDONED = 600  # seconds after which a part that nobody writes to may be taken over


class DownloadError(Exception):
    """A download did not succeed; the text says why, in words for the user."""


def download(
    url: str, target: Path, *, sha256: str | None, size: int | None, progress: Progress
) -> None:
    """Download `url` to `target`, which appears whole and with the right checksum or not at all.

    What a broken connection leaves is kept beside it, hidden, and the next call goes on from there.
    sha256, size: of the file, as far as known; the size in bytes.

    Raises DownloadError when it does not succeed, WeightsError when the checksum is another.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)  # its news are told by `progress`
    fetch = _Resuming(target, size, progress)
    try:
        with disk_errors(target):
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}" if sha256 else None,
                fname=target.name,
                path=target.parent,
                downloader=fetch,
            )
    except requests.RequestException as error:
        raise DownloadError(_explain(error, url)) from error
    except ValueError as error:
        raise WeightsError(
            f"what {url} sent is not {target.name}: its SHA-256 differs from {sha256}",
            hint="Nothing was kept. A proxy or mirror may have changed it; try another network.",
        ) from error


class _Resuming:
    """A downloader for pooch that continues a file which broke off."""

    def __init__(self, target: Path, size: int | None, progress: Progress) -> None:
        self._target = target
        self._size = size
        self._progress = progress

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        del pooch
        with _claimed_part(self._target) as part:
            self._receive(url, part)
            part.replace(output_file)

    def _receive(self, url: str, part: Path) -> None:
        have = part.stat().st_size if part.exists() else 0
        if self._size is not None and have >= self._size:
            part.unlink()
            have = 0
        with _open(url, have) as response:
            if have and response.status_code != 206:  # the server cannot continue a file
                have = 0
            total = self._total(url, have, int(response.headers.get("Content-Length", 0)))
            with self._progress.step(f"download {self._target.name}", total) as bar:
                bar.advance(have)
                with part.open("ab" if have else "wb") as stream:
                    for chunk in response.iter_content(_CHUNK):
                        stream.write(chunk)
                        have += len(chunk)
                        bar.advance(len(chunk))
                        if total and have > total:
                            break
        if total and have != total:
            if have > total:
                part.unlink()
            raise DownloadError(f"{url} sent {have:,} bytes instead of {total:,}")

    def _total(self, url: str, have: int, announced: int) -> int | None:
        """Bytes of the whole file. A sign-in page of a network is found out here, by its size."""
        if self._size is not None and announced and have + announced != self._size:
            raise DownloadError(
                f"{url} offers {have + announced:,} bytes, the official file has {self._size:,}"
            )
        return self._size or have + announced or None


def _open(url: str, start: int) -> requests.Response:
    """Begin to read at byte `start`, or at the beginning when the server has no such byte."""
    import requests

    # "identity", for a compressed answer could not be continued.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    response = requests.get(url, stream=True, timeout=TIMEOUT, headers=headers)
    if start and response.status_code == requests.codes.requested_range_not_satisfiable:
        response.close()
        return _open(url, 0)
    try:
        response.raise_for_status()
    except requests.HTTPError:
        response.close()
        raise
    return response


@contextmanager
def _claimed_part(target: Path) -> Iterator[Path]:
    """Give the hidden file that takes the bytes, with those of an earlier attempt in it.

    While in use it carries the process id, so that two processes do not write to one file.
    """
    shared = target.with_name(f".{target.name}.part")
    mine = target.with_name(f".{target.name}.{os.getpid()}.part")
    for left in _leftovers(target, shared, mine):
        try:
            left.replace(mine)
            break
        except FileNotFoundError:
            continue  # another process was faster
    try:
        yield mine
    finally:
        if mine.exists() and mine.stat().st_size:
            mine.replace(shared)
        mine.unlink(missing_ok=True)


def _leftovers(target: Path, shared: Path, mine: Path) -> list[Path]:
    """Parts that nobody is writing to, the longest first."""
    old = time.time() - _ABANDONED
    parts = [p for p in target.parent.glob(f".{target.name}.*part") if p != mine]
    free = [p for p in parts if p == shared or p.stat().st_mtime < old]
    return sorted(free, key=lambda p: p.stat().st_size, reverse=True)


def _explain(error: Exception, url: str) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{url} answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"{url} did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection to {url} broke off; another attempt goes on from there"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy does not let {url} through"
    return f"{url} cannot be reached"
