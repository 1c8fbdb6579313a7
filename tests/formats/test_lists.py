"""Lists of names, as people and tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.formats.lists import lines_of


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\n b \n", [(1, "a"), (2, "b")]),
        (b"a\r\n\r\nb", [(1, "a"), (3, "b")]),  # lines without a name count
        (b"a\rb", [(1, "a"), (2, "b")]),
        (b"\xef\xbb\xbfa\n", [(1, "a")]),
        (b"caf\xe9.jpg\n", [(1, "caf\udce9.jpg")]),  # as os.fsdecode has it
        ("a\u2028b\x0bc\n".encode(), [(1, "a\u2028b\x0bc")]),  # names may hold odd spaces
    ],
)
def test_lines_with_their_numbers(
    tmp_path: Path, content: bytes, lines: list[tuple[int, str]]
) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert list(lines_of(path)) == lines
