"""Headers that are read ahead are the headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.image_header import read_header
from detect_tl.formats import headers
from detect_tl.formats.headers import HeadersAhead
from tests.formats.makers import image


@pytest.mark.parametrize("worth_it", [1, 10**6])
def test_headers_and_errors_are_those_of_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth_it: int
) -> None:
    monkeypatch.setattr(headers, "_WORTH_IT", worth_it)
    monkeypatch.setattr(headers, "_TOGETHER", 2)
    images = [image(tmp_path / f"{k}.png") for k in range(5)]
    images[3].write_bytes(b"no image")
    ahead = HeadersAhead(images)
    for path in [*images[:3], images[4]] * 2:
        assert ahead.header(path) == read_header(path)
    for path in (images[3], tmp_path / "missing.png"):
        with pytest.raises(DataError, match="image") as caught:
            ahead.header(path)
        assert caught.value.path == path
