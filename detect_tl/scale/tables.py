"""Places of images in a column of a table, row by row, from a disk or an address."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from detect_tl.core.errors import DataError, UsageError, did_you_mean
from detect_tl.runtime.sources import is_address
from detect_tl.scale.fetch import open_binary

_PARQUET = (".parquet", ".pq")
_LINES = (".jsonl", ".ndjson")
_SUFFIXES = (*_PARQUET, *_LINES, ".csv")

_ROWS = 4096
"""Of a Parquet file that are in memory at a time."""

# What columns with places of images are called, the likeliest first.
_USUAL = (
    *("image_uri", "image_url", "image_path", "uri", "url", "path", "file_path", "filepath"),
    *("file_name", "filename", "image", "file", "img", "location", "name"),
)


def is_table(place: str) -> bool:
    return _suffix(place) in _SUFFIXES


def find_column(place: str, wanted: str | None) -> str:
    """The column with the places of images: the one that is asked for, or called as is usual.

    Raises UsageError where there is none or more than one could be meant, and DataError when the
    table cannot be read.
    """
    columns = _columns(place)
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise UsageError(f"{place} has no column {wanted!r}", hint=did_you_mean(wanted, columns))
    usual = {name.lower(): name for name in reversed(columns)}
    found = next((usual[name] for name in _USUAL if name in usual), None)
    if found is None and len(columns) == 1:
        found = columns[0]
    if found is None:
        raise UsageError(
            f"it is not clear which column of {place} names the images",
            hint=f"Say it with --column; it has: {', '.join(columns)}",
        )
    return found


def table_values(place: str, column: str) -> Iterator[str]:
    """The column, as places: relative ones are seen from where the table lies."""
    base = "" if is_address(place) else str(Path(place).parent)
    try:
        with open_binary(place) as stream:
            for value in _values(stream, _suffix(place), column):
                yield _from(place, base, value)
    except (OSError, ValueError) as error:
        raise _unreadable(place, error) from error


def _from(table: str, base: str, value: Any) -> str:
    text = str(value).strip() if value is not None else ""
    if not text or is_address(text):
        return text
    if base:
        return str(Path(base, Path(text).expanduser()))
    parts = urlsplit(table)
    return urlunsplit(
        parts._replace(path=posixpath.join(posixpath.dirname(parts.path), text), query="")
    )


def _values(stream: IO[bytes], suffix: str, column: str) -> Iterator[Any]:
    if suffix in _LINES:
        for row in _rows(stream):
            yield row.get(column)
        return
    if suffix in _PARQUET:
        from pyarrow import parquet

        batches = parquet.ParquetFile(stream).iter_batches(batch_size=_ROWS, columns=[column])
    else:
        import pyarrow as pa
        from pyarrow import csv

        kinds = csv.ConvertOptions(include_columns=[column], column_types={column: pa.string()})
        batches = csv.open_csv(stream, convert_options=kinds)
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _columns(place: str) -> list[str]:
    suffix = _suffix(place)
    try:
        with open_binary(place) as stream:
            if suffix in _LINES:
                return list(next(_rows(stream), {}))
            if suffix in _PARQUET:
                from pyarrow import parquet

                return list(parquet.ParquetFile(stream).schema_arrow.names)
            from pyarrow import csv

            return list(csv.open_csv(stream).schema.names)
    except (OSError, ValueError) as error:
        raise _unreadable(place, error) from error


def _rows(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    for line in stream:
        if line.strip():
            row = orjson.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line is no JSON object")
            yield row


def _suffix(place: str) -> str:
    path = urlsplit(place).path if is_address(place) else place
    return Path(path).suffix.lower()


def _unreadable(place: str, error: Exception) -> DataError:
    lines = str(error).strip().splitlines()
    why = getattr(error, "strerror", None) or (lines[0] if lines else type(error).__name__)
    return DataError(f"{place} cannot be read as a table: {why}", hint="Check the file.")
