"""Results of a shard as files: JSON lines as `predict` writes them, and the same as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import orjson

from detect_tl.core.errors import UsageError, did_you_mean

Record = dict[str, Any]
"""One image with what was found on it; see `detect_tl.runtime.sinks.as_record`."""


def as_json_lines(records: Sequence[Record]) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def as_parquet(records: Sequence[Record]) -> bytes:
    """A row an image; its detections are a list of structs. Without masks, `mask` is null."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist(list(records), schema=_schema())
    stream = BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()


KINDS: Mapping[str, Callable[[Sequence[Record]], bytes]] = {
    "jsonl": as_json_lines,
    "parquet": as_parquet,
}
"""What a shard can be saved as; its files end in these names."""

USUAL_KIND = "parquet"
FAILURES = "failures"


def chosen_kinds(save: Sequence[str] | None) -> tuple[str, ...]:
    """The kinds that a user names, or the usual one; raise UsageError for any that is unknown."""
    kinds = tuple(dict.fromkeys(save if save is not None else (USUAL_KIND,)))
    if not kinds:
        raise UsageError("nothing is to be saved", hint=f"Choose of: {', '.join(KINDS)}.")
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"--engine ray does not save {kind}", hint=did_you_mean(kind, KINDS))
    return kinds


def _schema() -> Any:
    import pyarrow as pa

    mask = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())])
    detection = pa.struct(
        [
            ("class", pa.string()),
            ("class_id", pa.int32()),
            ("score", pa.float64()),
            ("xyxy", pa.list_(pa.float64())),
            ("mask", mask),
        ]
    )
    return pa.schema(
        [
            ("frame", pa.int64()),
            ("time", pa.float64()),
            ("name", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("detections", pa.list_(detection)),
        ]
    )
