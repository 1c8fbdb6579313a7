"""Videos that a browser plays: H.264 in mp4, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.files import atomic_path, disk_errors
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import Place, Sink, Write

_TICKS = 90_000
"""Units of video time in a second, the usual ones of MPEG."""

_BT601, _LIMITED_RANGE = 6, 1
"""How FFmpeg turns BGR into YUV unless told otherwise; written down, so that players need not
guess."""

_DEFAULT_FPS = Fraction(25)


@contextmanager
def video_file(path: Path, fps: Fraction | None, *, quality: int = 23) -> Iterator[Write]:
    """Write an mp4.

    Frames keep their times, so a video plays at its own speed, and a camera at the speed at which
    its frames were used. The size is that of the first frame, made even; other sizes are fitted in.
    fps: nominal rate, for players that show it. quality: x264's constant rate factor, 0 to 51,
    less is better.
    """
    with atomic_path(path) as scratch:
        encoder = _Encoder(scratch, fps or _DEFAULT_FPS, quality)

        def write(frame: Frame, found: Detections) -> bool:
            del found
            with disk_errors(path):  # here, so that the file at fault is named and no other
                encoder.write(frame)
            return True

        try:
            yield write
            encoder.finish()
        finally:
            encoder.close()


class _Encoder:
    def __init__(self, path: Path, fps: Fraction, quality: int) -> None:
        import av

        try:
            av.codec.Codec("libx264", "w")
        except ValueError as error:  # UnknownCodecError is one
            raise MachineError(
                "this PyAV has no H.264 encoder",
                hint="Reinstall it from the package registry: pip install --force-reinstall av",
            ) from error
        self._fps, self._quality = fps, quality
        # faststart: the index goes to the front, so that a browser plays before it has it all.
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = None
        self._size = Size(0, 0)
        self._last = -1

    def write(self, frame: Frame) -> None:
        import av

        if self._stream is None:
            self._stream = self._added(frame.size)
        picture = av.VideoFrame.from_ndarray(_fitted(frame.image, self._size), format="bgr24")
        # Times of damaged files may stand still or go back; those of a video must not.
        self._last = max(round(frame.time * _TICKS), self._last + 1)
        picture.pts, picture.time_base = self._last, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        self._container.close()

    def _added(self, size: Size) -> Any:
        # 4:2:0 has one colour value for every 2x2 pixels: both sides must be even.
        self._size = _even(size)
        stream = self._container.add_stream("libx264", rate=self._fps)
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(self._quality)}
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.colorspace, context.color_range = _BT601, _LIMITED_RANGE
        return stream


def _even(size: Size) -> Size:
    return Size(size.width + size.width % 2, size.height + size.height % 2)


def _fitted(image: Image, size: Size) -> Image:
    """The picture at exactly this size: an odd side gets one more pixel, others are letterboxed."""
    import cv2

    height, width = image.shape[:2]
    if Size(width, height) == size:
        return image
    if _even(Size(width, height)) != size:
        scale = min(size.width / width, size.height / height)
        width, height = max(round(width * scale), 1), max(round(height * scale), 1)
        image = np.asarray(cv2.resize(image, (width, height)), np.uint8)
        left, top = (size.width - width) // 2, (size.height - height) // 2
        right, bottom = size.width - width - left, size.height - height - top
        border = cv2.BORDER_CONSTANT
    else:
        left, top, right, bottom = 0, 0, size.width - width, size.height - height
        border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, border), np.uint8)


def _open(place: Place) -> AbstractContextManager[Write]:
    if place.source.kind == "images":
        raise UsageError(
            "single images make no video", hint="Save them as images; a video needs a video."
        )
    return video_file(place.file(f"{place.source.title}.mp4"), place.source.fps)


VIDEO = Sink("H.264 in mp4 with boxes, which a browser plays", _open, drawn=True)
