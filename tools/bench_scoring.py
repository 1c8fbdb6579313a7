"""How fast detections are scored, beside pycocotools, and whether the numbers are the same.

    python tools/bench_scoring.py [--detections 500000] [--images 5000] [--repeats 1]

The truth and the detections are made up, about as COCO's val2017 is: 80 classes, 7 objects and 100
detections an image, scores and places as of a good detector. Times are of everything from the
detections of each image to the numbers. Beside the scores stand what more this package finds
(matches, intervals, kinds of errors), which pycocotools has not.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.evaluation.analysis import analyse, main_matches
from detect_tl.evaluation.coco_eval import score
from detect_tl.evaluation.sheet import make_sheet
from detect_tl.evaluation.truth import Truth, load_truth

CLASSES = 80
OBJECTS = 7.36  # of an image, as in val2017


def made_up(images: int, detections: int, seed: int = 0) -> tuple[Truth, list[Any]]:
    """A truth, and (image id, detections) of every image."""
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    predictions = []
    each = detections // images
    for image in range(images):
        count = rng.poisson(OBJECTS)
        corner = rng.uniform(0, 500, (count, 2))
        sides = np.exp(rng.normal(4, 0.9, (count, 2)))
        labels = rng.integers(0, CLASSES, count)
        for xy, wh, label in zip(corner.tolist(), sides.tolist(), labels.tolist(), strict=True):
            crowd = int(rng.random() < 0.01)
            box = {"bbox": [*xy, *wh], "area": wh[0] * wh[1] * 0.7, "iscrowd": crowd}
            identity = {"id": len(annotations) + 1, "image_id": image, "category_id": label}
            annotations.append({**identity, **box})
        about = rng.integers(0, count, each) if count else np.zeros(0, np.int64)
        near = rng.random(len(about)) < 0.6
        places = np.where(near[:, None], corner[about], rng.uniform(0, 500, (len(about), 2)))
        moved = places + rng.normal(0, 0.08, places.shape) * sides[about]
        wide = sides[about] * np.exp(rng.normal(0, 0.1, places.shape))
        found = np.where(near, labels[about], rng.integers(0, CLASSES, len(about)))
        scores = np.sort(rng.beta(0.4, 3, len(about)) * np.where(near, 1, 0.5))[::-1]
        boxes = np.hstack([moved, moved + wide]).astype(np.float32)
        predictions.append((image, Detections(boxes, scores.astype(np.float32), found)))
    truth = load_truth(
        {
            "images": [{"id": k, "width": 640, "height": 640} for k in range(images)],
            "categories": [{"id": k, "name": f"class {k}"} for k in range(CLASSES)],
            "annotations": annotations,
        }
    )
    return truth, predictions


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--no-peer", action="store_true", help="leave pycocotools out")
    arguments = parser.parse_args()
    truth, predictions = made_up(arguments.images, arguments.detections)
    total = sum(len(found) for _, found in predictions)
    print(f"{total:,} detections, {len(truth.objects):,} objects, {arguments.images:,} images")
    numbers, seconds = {}, {}
    for engine in ("faster-coco-eval", "pycocotools")[: 1 if arguments.no_peer else 2]:
        best = float("inf")
        for _ in range(arguments.repeats):
            began = time.perf_counter()
            sheet = make_sheet(truth, predictions, names=truth.names)
            metrics = score(sheet, engine)
            best = min(best, time.perf_counter() - began)
        seconds[engine], numbers[engine] = best, metrics.box.as_json()
        print(f"  {engine:18s} {best:6.1f} s, mAP50-95 {metrics.box.map50_95:.6f}")
    if not arguments.no_peer:
        worst = _apart(*numbers.values())
        ratio = seconds["pycocotools"] / seconds["faster-coco-eval"]
        print(f"  {ratio:.1f} times as fast; numbers differ by {worst:.1e} at most")
    began = time.perf_counter()
    matches = main_matches(sheet)
    matched = time.perf_counter()
    found = analyse(matches)
    done = time.perf_counter()
    print(f"  who met whom       {matched - began:6.1f} s")
    print(f"  intervals, errors  {done - matched:6.1f} s ({found.map50_95.resamples} resamples)")
    print(f"  mAP50-95 {found.map50_95}")


def _apart(a: Any, b: Any) -> float:
    if isinstance(a, dict):
        return max((_apart(a[key], b[key]) for key in a), default=0.0)
    return abs(a - b) if a is not None else float(b is not None)


if __name__ == "__main__":
    main()
