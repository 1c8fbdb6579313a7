"""Real video files, written by the tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    times: Sequence[float] | None = None,
    codec: str = "libx264",
) -> Path:
    """Encode frames without loss of sharpness that would matter; the suffix picks the container.

    times: of the frames in seconds, to the millisecond, instead of an even rate.
    """
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
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            if times is not None:
                picture.pts, picture.time_base = round(times[index] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def without_packets(whole: Path, path: Path, missing: Collection[int]) -> Path:
    """A copy of a video in which some packets never arrived."""
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if index not in missing and packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


def read_video(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]
