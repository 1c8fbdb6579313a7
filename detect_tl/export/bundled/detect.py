"""Detect objects on images, videos, cameras and streams.

python detect.py street.mp4 --out found
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from detect_tl.core.errors import DetectTLError, UsageError
from detect_tl.runtime.predict import predict

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the model of this folder; return the exit code, 1 for a source that failed in part.

    A summary goes to stdout, as JSON.
    """
    options = vars(_parser().parse_args(arguments))
    try:
        options["conf"] = _confidence(options["conf"])
        result = predict(_model(), options.pop("source"), **options)
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
    parser.add_argument("--out", type=Path, help="new folder for the results")
    parser.add_argument("--save", nargs="+", help="video, images, jsonl, csv, crops, yolo, labelme")
    parser.add_argument("--conf", default="0.25", help="lowest score, or auto (default: 0.25)")
    parser.add_argument("--iou", type=float, default=0.7, help="overlap of one object's boxes")
    parser.add_argument("--classes", nargs="+", help="names of the classes to keep")
    parser.add_argument("--track", action="store_true", help="give objects of a video numbers")
    parser.add_argument("--backend", default="auto", help="engine that runs the model")
    parser.add_argument("--limit", type=int, help="end after so many frames")
    return parser


def _confidence(text: str) -> float | dict[str, float]:
    """A number, or the best threshold of every class, where training has measured them."""
    if text != "auto":
        try:
            return float(text)
        except ValueError as error:
            raise UsageError(
                f"{text!r} is no confidence", hint="Give a number, or auto."
            ) from error
    known = HERE / "thresholds.json"
    if not known.is_file():
        raise UsageError("this model came without thresholds", hint="Give a number with --conf.")
    values: dict[str, float] = json.loads(known.read_text("utf-8"))
    return values


def _model() -> Path:
    return next(HERE / name for name in ("model.onnx", "model.xml") if (HERE / name).is_file())


if __name__ == "__main__":
    sys.exit(main())
