"""Real video files, written by the tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from detect_tl.core.images import Image
from tests.runtime.conftest import picture


def moving_square(count: int, size: tuple[int, int] = (64, 64)) -> list[Image]:
    """Frames with a red cell that walks from left to right, one cell (8 pixels) a frame."""
    width, height = size
    cells = width // 8
    return [
        picture(width, height, (i % cells * 8, 8, i % cells * 8 + 8, 16, "red"))
        for i in range(count)
    ]


def write_video(
    path: Path,
    frames: list[Image],
    *,
    fps: Fraction = Fraction(10),
    rotation: int = 0,
    codec: str = "libx264",
) -> Path:
    """Encode frames without loss of sharpness that would matter; the suffix picks the container."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = width, height
        if codec == "libx264":
            stream.pix_fmt = "yuv444p"
            stream.options = {"qp": "0", "preset": "ultrafast", "g": "5"}
        else:  # what browsers play
            stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
            stream.options = {"deadline": "realtime", "cpu-used": "8"}
        if rotation:
            stream.set_display_rotation(rotation)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def read_video(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]
