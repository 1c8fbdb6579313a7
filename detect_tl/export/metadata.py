"""What an exported file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from detect_tl import __version__
from detect_tl.core.model_spec import ModelSpec

if TYPE_CHECKING:
    import onnx

PREFIX = "detect_tl."

PREPROCESSING = {
    "layout": "NCHW",
    "colour": "RGB",
    "resize": "letterbox, centred, bilinear",
    "pad": 114,
    "scale": "divide by 255",
}

_OUTPUTS = {
    False: "(batch, 4 + classes, anchors): cx, cy, w, h in input pixels, a score for each class",
    True: "(batch, rows, 6): x1, y1, x2, y2 in input pixels, score, class; score 0: nothing",
}


def metadata_of(
    spec: ModelSpec, precision: str, extra: Mapping[str, str], *, nms: bool = False
) -> dict[str, str]:
    """Keys that plain Ultralytics reads, and ours under `detect_tl.` for whoever reads neither.

    spec: of the model before suppression is put at its end, as it is with `nms`.
    extra: more of ours, without the prefix, for example {"dataset_sha256": …}. There is no date:
    the same checkpoint gives the same file.
    """
    return {
        "description": f"{spec.task} model of {spec.class_count} classes, exported by detect-tl",
        "author": "detect-tl",
        "version": __version__,
        "license": "AGPL-3.0",
        "docs": "https://docs.ultralytics.com",
        "stride": str(spec.stride),
        "task": spec.task,
        "batch": str(spec.batch),
        "imgsz": str(list(spec.imgsz)),
        "names": str(dict(enumerate(spec.names))),
        "args": str({"batch": spec.batch, "dynamic": spec.dynamic, "nms": nms}),
        "channels": "3",
        "end2end": str(spec.end2end),
        **{PREFIX + key: value for key, value in _ours(spec, precision, extra, nms=nms).items()},
    }


def _ours(
    spec: ModelSpec, precision: str, extra: Mapping[str, str], *, nms: bool
) -> dict[str, str]:
    return {
        "version": __version__,
        "license": "AGPL-3.0",
        "task": spec.task,
        "names": orjson.dumps(spec.names).decode(),
        "imgsz": orjson.dumps(spec.imgsz).decode(),
        "stride": str(spec.stride),
        "precision": precision,
        "preprocessing": orjson.dumps(PREPROCESSING).decode(),
        "output": _OUTPUTS[spec.end2end or nms],
        **extra,
    }


def stamp(graph: onnx.ModelProto, values: Mapping[str, str]) -> None:
    """Replace the metadata of a graph."""
    del graph.metadata_props[:]
    for key, value in values.items():
        item = graph.metadata_props.add()
        item.key, item.value = key, value
