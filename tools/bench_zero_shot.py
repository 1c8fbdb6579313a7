"""How well names are found that a model was not trained on, where its classes cover them.

    python tools/bench_zero_shot.py DATA MODEL.onnx [--names vehicle,animal,…]

DATA has labels of the classes of the model, as coco128 has those of COCO. Objects of all classes
that stand for a name are objects of that name: the truth for "vehicle" is every bicycle, car, …
Beside it stands the mean over the same classes under their own names, and the time that a picture
takes either way. Nothing is trained or chosen, so there is no split to keep apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from detect_tl.api.evaluation import truth_of
from detect_tl.core.dataset import Category, Dataset
from detect_tl.evaluation.coco_eval import score
from detect_tl.evaluation.metrics import ClassScores
from detect_tl.evaluation.predict import VALIDATION, predict_split
from detect_tl.evaluation.sheet import make_sheet
from detect_tl.formats.detect import read_dataset
from detect_tl.runtime.backends import Backend, load_backend
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.wanted import WantedBackend
from detect_tl.transfer.cover import cover_names

NAMES = "vehicle,animal,pedestrian,sofa,bag,cutlery,electronics,food,furniture,two-wheeler"


def relabelled(dataset: Dataset, labels: Mapping[str, str]) -> Dataset:
    """The same pictures with the objects that have a label, under its name."""
    names = list(dict.fromkeys(labels.values()))
    ids = {
        k: names.index(labels[c.name]) for k, c in enumerate(dataset.categories) if c.name in labels
    }
    samples = tuple(
        replace(
            sample,
            instances=tuple(
                replace(each, category=ids[each.category])
                for each in sample.instances
                if each.category in ids
            ),
        )
        for sample in dataset.samples
    )
    return replace(dataset, categories=tuple(map(Category, names)), samples=samples)


def measured(dataset: Dataset, backend: Backend) -> tuple[dict[str, ClassScores], float]:
    """The scores of every class with objects, and milliseconds a picture."""
    truth = truth_of(dataset, masks=False)
    pairs = zip(truth.images, dataset.samples, strict=True)
    images = [(image.id, sample.image) for image, sample in pairs]
    detector = Detector(backend, **VALIDATION)
    began = time.perf_counter()
    found = list(predict_split(detector, images))
    each = 1000 * (time.perf_counter() - began) / len(images)
    scores = score(make_sheet(truth, found, names=backend.spec.names)).box
    return {row.name: row for row in scores.per_class if row.ap is not None}, each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--names", default=NAMES)
    given = parser.parse_args()
    dataset = read_dataset(given.data).dataset
    with closing(load_backend(given.model, "onnxruntime")) as backend:
        coverage = cover_names(given.names.split(","), backend.spec.names)
        plain, slow = measured(dataset, backend)
        wanted = WantedBackend([(backend, coverage.labels)])
        named, fast = measured(relabelled(dataset, coverage.labels), wanted)
    print("| name | how | objects | mAP50-95 | mean of its classes |\n|---|---|---|---|---|")
    for cover in coverage.covers:
        own = [plain[name].ap or 0.0 for name in cover.classes if name in plain]
        row = named.get(cover.name)
        if row is not None and own:
            mean = sum(own) / len(own)
            print(f"| {cover.name} | {cover.how} | {row.objects} | {row.ap:.3f} | {mean:.3f} |")
    print(f"\n{slow:.1f} ms a picture under its own names, {fast:.1f} ms under these")


if __name__ == "__main__":
    main()
