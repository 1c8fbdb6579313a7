"""From what a user names to a source of frames: images, video, camera, stream or pipe."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, find_images
from detect_tl.core.findings import Finding
from detect_tl.core.image_header import read_header
from detect_tl.core.images import Image, read_image
from detect_tl.runtime.config import RECONNECT_SECONDS
from detect_tl.runtime.frames import Frame, Source, SourceInfo
from detect_tl.runtime.raw import RawFormat, RawSource

STDIN = "-"

_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def open_source(
    source: str | Path,
    *,
    pipe: RawFormat | None = None,
    reconnect: float = RECONNECT_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Source:
    """Open what the user named.

    A number is a camera; a text with `://` a stream; `-` raw frames on standard input; anything
    else a path: an image, a folder of images (searched in depth), a pattern such as `shots/*.jpg`,
    or a video.

    pipe: what the frames on standard input look like.
    reconnect: seconds to go on trying when a camera or stream is lost; see `Returns`, also for
        `say`.

    Raises UsageError when frames on standard input are not described, DataError when a file cannot
    be read or no image is there, and MachineError when a camera or stream cannot be opened.
    """
    from detect_tl.runtime.camera import CameraSource
    from detect_tl.runtime.stream import open_stream
    from detect_tl.runtime.video import open_video

    text = str(source)
    if text == STDIN:
        return _standard_input(pipe)
    if text.isdecimal():
        return CameraSource(int(text), reconnect, say)
    if is_address(text):
        return open_stream(text, patience=reconnect, say=say)
    path = Path(text).expanduser()
    moving = path.exists() and not path.is_dir() and path.suffix.lower() not in IMAGE_SUFFIXES
    return open_video(path) if moving else ImageSource(image_files(path))


def image_files(path: Path) -> list[Path]:
    """The images that a path stands for: itself, those of a folder, or those that fit a pattern.

    Raises DataError when there are none.
    """
    if path.is_dir():
        return _folder(path)
    return [path] if path.exists() else _pattern(path)


def is_address(source: str) -> bool:
    """Whether this names a stream, and no file."""
    return bool(_URL.match(source))


class ImageSource:
    """Image files, in the order given; their names are relative to the folder they share."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._root = os.path.commonpath([path.parent for path in paths])
        self.findings: list[Finding] = []
        one = len(self._paths) == 1
        self.info = SourceInfo(
            kind="images",
            name=self._paths[0].name if one else f"{len(self._paths)} images",
            size=read_header(self._paths[0]).size if one else None,
            frame_count=len(self._paths),
        )

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            name = path.relative_to(self._root).as_posix()
            yield Frame(read_image(path), index, 0.0, name, path)

    def sample(self) -> Image:
        return read_image(self._paths[0])

    def stop(self) -> None:
        """Nothing is ever waited for."""

    def close(self) -> None:
        """Nothing is held open between two images."""


def _standard_input(pipe: RawFormat | None) -> Source:
    if pipe is None:
        raise UsageError(
            "frames on standard input carry no size",
            hint="Say it with --stdin-size WIDTHxHEIGHT; the frames are bgr24, as "
            "`ffmpeg … -f rawvideo -pix_fmt bgr24 -` writes them.",
        )
    # Without a buffer, whose lock a thread that waits for input would hold for ever.
    return RawSource(open(0, "rb", buffering=0, closefd=False), pipe)


def _folder(path: Path) -> list[Path]:
    images = find_images(path)
    if images:
        return images
    videos = [p for p in sorted(path.iterdir()) if p.suffix.lower() in VIDEO_SUFFIXES]
    hint = f"It has videos; name one of them: {videos[0]}" if videos else "Check the folder."
    raise DataError("there are no images in this folder", path=path, hint=hint)


def _pattern(path: Path) -> list[Path]:
    """What a path that does not exist as it stands stands for."""
    if not glob.has_magic(str(path)):
        raise DataError(
            "there is no such file or folder",
            path=path,
            hint="SOURCE is an image, a folder, a pattern in quotes, a video, a camera number "
            "(0, 1, …), a stream (rtsp://…), a list of those (.txt), or - for standard input.",
        )
    names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - also absolute ones
    found = [Path(name) for name in names]
    images = [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    if not images:
        raise DataError(
            "no image fits this pattern", path=path, hint='For example "shots/**/*.jpg".'
        )
    return images
