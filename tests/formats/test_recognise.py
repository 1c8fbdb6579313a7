"""What a format says of the files that it claims, or does not."""

from __future__ import annotations

from pathlib import Path

from detect_tl.formats.recognise import recognise
from detect_tl.formats.source import Source
from tests.formats.makers import text


def test_it_says_what_it_looked_at(tmp_path: Path) -> None:
    def said() -> tuple[str, list[str]]:
        kinds = (".one", ".two", ".three")
        found = recognise(Source(tmp_path), kinds, lambda ends: b"ours" in ends, "a word of ours")
        return found.reason, [path.name for path in found.files]

    text(tmp_path / "readme.txt", "ours")
    assert said() == ("no .one, .two or .three file", [])
    text(tmp_path / "a.one", "theirs")
    assert said() == ("1 .one file, none with a word of ours", [])
    text(tmp_path / "b.TWO", "theirs")
    assert said() == ("2 .one and .two files, none with a word of ours", [])
    text(tmp_path / "c.two", "ours")
    assert said() == ("1 .two file with a word of ours", ["c.two"])
