"""Detect objects on images, videos, cameras and streams.

python detect.py street.mp4 --out found
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from detect_tl.core.errors import DetectTLError, UsageError
from detect_tl.runtime.config import AUTO, PredictConfig
from detect_tl.runtime.predict import predict

HERE = Path(__file__).parent

# settings on offer here, and how their values are read
OPTIONS: dict[str, dict[str, Any]] = {
    "out": {"type": Path},
    "save": {"nargs": "+"},
    "conf": {},
    "iou": {"type": float},
    "classes": {"nargs": "+"},
    "track": {"action": "store_true"},
    "backend": {},
    "limit": {"type": int},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the model of this folder; return the exit code, 1 for a source that failed in part.

    A summary goes to stdout, as JSON.
    """
    settings = vars(_parser().parse_args(arguments))
    source = settings.pop("source")
    try:
        settings["conf"] = _confidence(settings["conf"])
        config = PredictConfig.parse(settings).with_thresholds(_thresholds)
        result = predict(_model(), source, config)
    except DetectTLError as error:
        sys.stderr.write(f"Error: {error}\n{error.hint}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(result.as_json(), indent=2) + "\n")
    return int(result.failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="image, folder, pattern, video, camera number or stream")
    for each in fields(PredictConfig):
        if each.name in OPTIONS:
            text = each.metadata["text"]
            kind = OPTIONS[each.name]
            parser.add_argument(f"--{each.name}", default=each.default, help=text, **kind)
    return parser


def _confidence(given: str | float) -> str | float:
    try:
        return given if given == AUTO else float(given)
    except ValueError as error:
        raise UsageError(f"{given!r} is no confidence", hint="Give a number, or auto.") from error


def _thresholds() -> dict[str, float]:
    """The best threshold of every class, where training has measured them."""
    known = HERE / "thresholds.json"
    if not known.is_file():
        raise UsageError("this model came without thresholds", hint="Give a number with --conf.")
    values: dict[str, float] = json.loads(known.read_text("utf-8"))
    return values


def _model() -> Path:
    return next(HERE / name for name in ("model.onnx", "model.xml") if (HERE / name).is_file())


if __name__ == "__main__":
    sys.exit(main())
