"""Is our mAP the peer's mAP, and does the exported file score what the checkpoint scores?

    python tools/bench_eval.py [--weights yolo11n.pt] [--data FOLDER] [--imgsz 640] [--json]

The whole data set is scored four times: by Ultralytics' own validator, and by pycocotools through
our runtime with the checkpoint, with its ONNX export and with its fp16 export. Without arguments it
takes the COCO data set and the weights that DETECT_TL_SHARED names.

Both sides see the same truth, without crowd regions, which YOLO's label files cannot say, and each
picture padded to its own rectangle. What is left of the difference is that pycocotools reads
precision off at 101 recalls as it stands, and Ultralytics interpolates between them.

Limits: checkpoint and validator within 0.01 mAP50-95, fp32 export and checkpoint within 0.002.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from detect_tl.core.dataset import Dataset, renumber
from detect_tl.core.findings import Report
from detect_tl.evaluation.coco_eval import evaluate
from detect_tl.evaluation.predict import VALIDATION, predict_split
from detect_tl.evaluation.truth import Truth, load_truth
from detect_tl.export.model import export_model
from detect_tl.formats.base import load_format
from detect_tl.formats.detect import read_dataset
from detect_tl.models.torch_backend import TorchBackend
from detect_tl.models.yolo import YOLO, quiet
from detect_tl.runtime.backends import Backend, load_backend
from detect_tl.runtime.detector import Detector

LIMITS = {"checkpoint - validator": 0.01, "fp32 export - checkpoint": 0.002}


@dataclass(frozen=True)
class Score:
    """mAP50-95 and mAP50 of the boxes, and the seconds it took to get them."""

    map50_95: float
    map50: float
    seconds: float


@dataclass(frozen=True)
class Exam:
    """All images in one split, as YOLO rows for the peer and as COCO truth for us."""

    folder: Path
    truth: Truth
    images: list[tuple[int, Path]]


def prepare(data: Path, names: list[str], folder: Path) -> Exam:
    """Write all of a data set as a val split; classes get the numbers that the model gives them."""
    (folder / "images" / "val").mkdir(parents=True)
    dataset: Dataset = renumber(read_dataset(data).dataset, names)
    placed = []
    for sample in dataset.samples:
        target = folder / "images" / "val" / sample.image.name
        target.symlink_to(sample.image.resolve())
        placed.append(replace(sample, image=target, split="val"))
    for name in ("yolo", "coco"):
        write = load_format(name).write
        assert write is not None
        write(replace(dataset, samples=tuple(placed)), folder, Report(), "detect")
    described = yaml.safe_load((folder / "data.yaml").read_text())
    # The peer wants a train split by that name even to validate.
    (folder / "data.yaml").write_text(yaml.safe_dump({**described, "train": described["val"]}))
    truth = load_truth(folder / "annotations" / "val.json")
    truth = replace(truth, objects=tuple(o for o in truth.objects if not o.iscrowd))
    images = [(image.id, folder / "images" / "val" / image.file_name) for image in truth.images]
    return Exam(folder, truth, images)


def validator(weights: Path, exam: Exam, imgsz: int) -> tuple[float, float]:
    """Ultralytics' own validator, one picture at a time.

    In larger batches it pads a picture to the widest and the tallest of them, and so scores from
    .512 to .523 on the same 128 photos, by the size of the batch alone.
    """
    settings = {"plots": False, "workers": 0, "batch": 1, "verbose": False, "device": "cpu"}
    work = exam.folder / "peer"
    with quiet():
        found = YOLO(str(weights)).val(
            data=str(exam.folder / "data.yaml"),
            imgsz=imgsz,
            project=str(work),
            **settings,
        )
    return float(found.box.map), float(found.box.map50)


def ours(backend: Backend, exam: Exam) -> tuple[float, float]:
    """The same images through our runtime and pycocotools."""
    found = predict_split(Detector(backend, **VALIDATION), exam.images, batch=8)
    scores = evaluate(exam.truth, found, names=backend.spec.names).box
    assert scores.map50_95 is not None
    assert scores.map50 is not None
    return scores.map50_95, scores.map50


def measure(weights: Path, data: Path, imgsz: int, folder: Path) -> dict[str, Score]:
    """Run all four, telling how far it is on stderr."""
    checkpoint = folder / "weights.pt"
    shutil.copyfile(weights, checkpoint)
    reference = TorchBackend(checkpoint, imgsz=imgsz, device="cpu")
    exam = prepare(data, list(reference.spec.names), folder / "exam")
    pictures = [path for _, path in exam.images]

    def exported(precision: str) -> Backend:
        out = folder / f"{precision}.onnx"
        result = export_model(
            checkpoint, out, images=pictures, imgsz=imgsz, dynamic=True, precision=precision
        )
        print(f"{precision} parity: {result.parity.as_json()['worst']}", file=sys.stderr)
        return load_backend(out, device="cpu")

    sides: dict[str, Callable[[], tuple[float, float]]] = {
        "validator": lambda: validator(checkpoint, exam, imgsz),
        "checkpoint": lambda: ours(reference, exam),
        "fp32 export": lambda: ours(exported("fp32"), exam),
        "fp16 export": lambda: ours(exported("fp16"), exam),
    }
    scores = {}
    for name, run in sides.items():
        start = time.perf_counter()
        scores[name] = Score(*run(), time.perf_counter() - start)
        print(f"{name}: mAP50-95 {scores[name].map50_95:.4f}", file=sys.stderr)
    return scores


def main() -> int:
    shared = Path(os.environ.get("DETECT_TL_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=shared / "weights" / "yolo11n.pt")
    parser.add_argument("--data", type=Path, default=shared / "data" / "coco_coco128_0hye")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    for path in (args.weights, args.data):
        if not path.exists():
            parser.error(f"{path} is not there: name --weights and --data, or set DETECT_TL_SHARED")
    with tempfile.TemporaryDirectory() as folder:
        scores = measure(args.weights, args.data, args.imgsz, Path(folder))
    gaps = {}
    for pair in LIMITS:
        first, second = pair.split(" - ")
        gaps[pair] = abs(scores[first].map50_95 - scores[second].map50_95)
    failed = [pair for pair, limit in LIMITS.items() if gaps[pair] > limit]
    if args.json:
        rounded = {name: asdict(score) for name, score in scores.items()}
        print(json.dumps({"scores": rounded, "gaps": gaps, "failed": failed}, indent=2))
        return bool(failed)
    for name, score in scores.items():
        print(
            f"{name:12} mAP50-95 {score.map50_95:.4f}  mAP50 {score.map50:.4f}"
            f"  {score.seconds:6.1f} s"
        )
    for pair, gap in gaps.items():
        print(f"{pair}: {gap:.4f} (at most {LIMITS[pair]})")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
