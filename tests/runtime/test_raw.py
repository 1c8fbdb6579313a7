"""Raw frames from a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.geometry import Size
from detect_tl.runtime.raw import RawFormat, RawSource
from detect_tl.runtime.sources import open_source
from tests.runtime.videos import moving_square

SIZE = Size(5, 3)
BYTES = 45


def piped(data: bytes, form: RawFormat, piece: int = 1 << 20) -> RawSource:
    """A source at the end of a real pipe, into which the data go in pieces."""
    out, into = os.pipe()

    def write() -> None:
        with os.fdopen(into, "wb", buffering=0) as stream:
            for start in range(0, len(data), piece):
                stream.write(data[start : start + piece])

    threading.Thread(target=write, daemon=True).start()
    return RawSource(os.fdopen(out, "rb", buffering=0), form)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, BYTES - 1), st.integers(1, 100))
def test_every_whole_frame_comes_through(count: int, over: int, piece: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, count * BYTES + over, np.uint8).tobytes()
    source = piped(data, RawFormat(SIZE, 10), piece)
    assert source.info.size == SIZE
    assert source.info.fps == Fraction(10)
    assert not source.info.live
    assert source.info.endless
    frames = list(source)
    source.close()
    assert b"".join(frame.image.tobytes() for frame in frames) == data[: count * BYTES]
    assert [frame.time for frame in frames] == pytest.approx(np.arange(count) / 10)
    assert {frame.image.shape for frame in frames} == {(3, 5, 3)}
    told = [(finding.code, f"{over} of {BYTES}" in finding.message) for finding in source.findings]
    assert told == ([("stdin.partial-frame", True)] if over else [])


@pytest.mark.parametrize(("data", "told"), [(b"", "nothing came in"), (b"1234", "only 4 bytes")])
def test_less_than_a_frame(data: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        piped(data, RawFormat(SIZE))
    assert "5x3 has 45" in caught.value.message


def test_a_size_must_be_said() -> None:
    with pytest.raises(UsageError, match="carry no size") as caught:
        open_source("-")
    assert "--stdin-size" in caught.value.hint


@pytest.mark.parametrize("form", [(Size(0, 4), 25), (Size(4, -1), 25), (Size(4, 4), 0)])
def test_frames_that_cannot_be(form: tuple[Size, float]) -> None:
    with pytest.raises(UsageError, match="raw frames of"):
        RawFormat(*form)
    with pytest.raises(UsageError):
        RawFormat(Size(4, 4), float("nan"))


def test_the_command_reads_standard_input(detect_model: Path, tmp_path: Path) -> None:
    frames = b"".join(image.tobytes() for image in moving_square(9))
    command = [
        *(sys.executable, "-m", "detect_tl", "predict", detect_model, "-", "--json", "--conf"),
        *("0.8", "--stdin-size", "64x64", "--stdin-fps", "10", "--out", tmp_path / "out"),
    ]
    done = subprocess.run(command, input=frames + bytes(100), capture_output=True, check=True)
    told = orjson.loads(done.stdout)
    assert told["frames"] == 9
    assert told["objects"] == {"red": 9}
    assert [finding["code"] for finding in told["findings"]] == ["stdin.partial-frame"]
    lines = (tmp_path / "out" / "detections.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["time"] for line in lines] == pytest.approx(np.arange(9) / 10)
    assert (tmp_path / "out" / "stdin.mp4").stat().st_size > 0
