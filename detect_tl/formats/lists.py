"""Text files with a name on each line: images of a split, classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and content of every line that holds anything.

    A name may have bytes that are no UTF-8, as names of files may; they lead to the same file.
    Raises OSError for a file that cannot be read.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line.strip():
            yield number, line.strip()
