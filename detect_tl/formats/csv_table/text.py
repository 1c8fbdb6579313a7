"""The text of a table: its encoding, its delimiter and its rows with their line numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.errors import DataError

_DELIMITERS = ",;\t|"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

NumberedRows = Iterator[tuple[int, list[str]]]


@dataclass(frozen=True, slots=True)
class FirstRow:
    """The first row that holds anything, and what stands between its cells."""

    cells: tuple[str, ...]
    delimiter: str


def first_row(head: bytes) -> FirstRow:
    """Look at the beginning of a file; no cells when it cannot be the beginning of a table."""
    text = head.decode(*_encoding_of(head))
    line = next((line for line in _mended(text.splitlines()) if line.strip()), "")
    delimiter = _delimiter_of(line)
    try:
        rows = list(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        rows = []
    return FirstRow(tuple(cell.strip() for cell in rows[0]) if rows else (), delimiter)


def read_rows(path: Path) -> NumberedRows:
    """Line number and cells of every row that holds anything, the header as well.

    Raises DataError when the file cannot be read, or not as a table.
    """
    number = 0
    try:
        with path.open("rb") as stream:
            encoding, errors = _encoding_of(stream.read(2))
        with path.open(encoding=encoding, errors=errors, newline="") as text:
            line = next((line for line in text if line.strip()), "")
            text.seek(0)
            delimiter = _delimiter_of(line)
            reader = csv.reader(_mended(text), delimiter=delimiter, skipinitialspace=True)
            for row in reader:
                number = reader.line_num
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield number, cells
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except (csv.Error, UnicodeError) as error:
        wrong = f"cannot be read as a table: {error}"
        raise DataError(wrong, path=path, line=number + 1) from error


def read_table(path: Path, names: Sequence[str]) -> tuple[dict[str, int], NumberedRows]:
    """The place of every column by its name, and the rows below the header.

    Raises DataError when one of `names` is missing, or the file cannot be read.
    """
    rows = read_rows(path)
    header = {name: place for place, name in enumerate(next(rows, (0, []))[1])}
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(f"the table has no column {missing[0]!r}", path=path)
    return header, rows


def _encoding_of(head: bytes) -> tuple[str, str]:
    """Encoding, and what becomes of other bytes. UTF-16 is what spreadsheets call "Unicode"."""
    return ("utf-16", "replace") if head.startswith(_UTF_16) else ("utf-8-sig", "surrogateescape")


def _delimiter_of(line: str) -> str:
    """The delimiter that occurs most often outside quotes; a comma when there is none."""
    bare = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=bare.count)


def _mended(lines: Iterable[str]) -> Iterator[str]:
    """Read what is no UTF-8 as the encoding that spreadsheets on Windows use."""
    for line in lines:
        try:
            if not line.isascii():
                line.encode()
            yield line
        except UnicodeEncodeError:
            yield line.encode(errors="surrogateescape").decode("cp1252", errors="replace")
