"""How many labels chosen by `label --rank` are worth as many chosen at random.

    python -m tools.bench_label --work /tmp/steps --scores rank looks doubt --threads 1

Without more arguments it takes BCCD and yolo11n of the folder that DETECT_TL_SHARED names. Every
course begins with the same images drawn by its seed; a model is trained on them, ranks the rest of
train, the next ones join, and so on. Each model starts from the same weights, trains the same
number of steps behind frozen layers, and is measured on all of val. That a score is best was
seen on val, so it should be tried on other data before it is believed.

To train dozens of models on a laptop, what the backbone answers is computed once for all of them,
neck and head train (strategy `freeze`), and the training is plain: AdamW, no augmentation, no
validation on the way. `detect-tl train` reaches more with the same labels.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detect_tl.api.evaluation import truth_of
from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.detections import Detections
from detect_tl.core.files import atomic_path
from detect_tl.core.images import read_image
from detect_tl.core.model_spec import ModelSpec
from detect_tl.curate.ranking import LEAST_SCORE, Floats, class_doubts, rank, uncertainties
from detect_tl.evaluation.coco_eval import score as scored
from detect_tl.evaluation.predict import VALIDATION
from detect_tl.evaluation.sheet import make_sheet
from detect_tl.formats.detect import read_dataset
from detect_tl.models.apply import apply_plan, match_class_branch, shapes
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.models.cut import cut_before, run_front, run_rest
from detect_tl.models.yolo import DEFAULT_CFG, build_model, model_config
from detect_tl.runtime.postprocess import decode
from detect_tl.runtime.preprocess import Letterbox, preprocess
from detect_tl.transfer.freeze import LayerRanges
from detect_tl.transfer.plan import plan_transfer

Maps = dict[int, Tensor]
Order = Callable[[Floats, Floats, Floats], Sequence[int]]

SCORES: dict[str, Order] = {
    # sums of entropies
    "plain-doubt": lambda doubts, _features, _known: np.argsort(-doubts.sum(1), kind="stable"),
    # the same with classes that count alike
    "doubt": lambda doubts, _features, _known: np.argsort(-uncertainties(doubts), kind="stable"),
    # k-centre greedy
    "looks": lambda doubts, features, known: rank(np.ones(len(doubts)), features, known).order,
    # doubt times looks, as `label --rank` does it
    "rank": lambda doubts, features, known: rank(uncertainties(doubts), features, known).order,
}


@dataclass
class Seen:
    """Images as the backbone sees them. features: (n, d), its last answer, pooled."""

    samples: Sequence[Sample]
    maps: Maps
    features: Floats
    letterboxes: Sequence[Letterbox]


class Bench:
    """What all courses share: what the backbone answers, and a model to begin from."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.steps, self.batch, self.folder = arguments.steps, arguments.batch, arguments.work
        self.dataset = read_dataset(arguments.data).dataset
        source = load_checkpoint(arguments.weights)
        self.model: Any = build_model(
            model_config(source.yaml, "detect"), "detect", len(self.dataset.names)
        )
        match_class_branch(self.model, source.model)
        given = source.model.state_dict()
        plan = plan_transfer(
            shapes(given),
            shapes(self.model.state_dict()),
            source_names=source.names,
            target_names=self.dataset.names,
        )
        apply_plan(plan, given, self.model)
        self.model.args = DEFAULT_CFG
        self.model.to(memory_format=torch.channels_last)
        self.cut = cut_before(self.model, LayerRanges.of(self.model.yaml).neck)
        sides = (arguments.imgsz, arguments.imgsz)
        self.spec = ModelSpec(names=tuple(self.dataset.names), imgsz=sides, dynamic=True)
        self.train, self.val = self._see("train"), self._see("val")
        self.truth = truth_of(
            Dataset(self.dataset.categories, tuple(self.val.samples)), masks=False
        )

    def _see(self, split: str) -> Seen:
        samples = self.dataset.in_split(split)
        kept = self.folder / f"seen-{split}.pt"
        boxes = [Letterbox.fit(sample.size, self.spec.imgsz) for sample in samples]
        if not kept.is_file():
            parts: list[Maps] = []
            self.model.eval()
            for sample in samples:
                pixels, _ = preprocess([read_image(sample.image)], self.spec.imgsz)
                given = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
                with torch.no_grad():
                    parts.append(run_front(self.model.model, self.cut, given))
            maps = {layer: torch.cat([part[layer] for part in parts]) for layer in self.cut.needed}
            with atomic_path(kept) as scratch:
                torch.save(maps, scratch)
        maps = torch.load(kept, weights_only=True)
        features = maps[self.cut.needed[-1]].mean(dim=(2, 3)).double().numpy()
        return Seen(samples, maps, features, boxes)

    def trained(self, places: Sequence[int], seed: int) -> Any:
        """A model trained on these images of train."""
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        model = deepcopy(self.model).train()
        rows = list(model.model)[self.cut.first :]
        parameters = [p for layer in rows for p in layer.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=5e-4)
        shape = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=2e-3, total_steps=self.steps, pct_start=0.1
        )
        queue: list[int] = []
        for _ in range(self.steps):
            while len(queue) < self.batch:
                queue += rng.permutation(places).tolist()
            taken, queue = queue[: self.batch], queue[self.batch :]
            batch, maps = self._batch(taken)
            loss = model.loss(batch, run_rest(model, self.cut, maps))[0].sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 10.0)
            optimizer.step()
            shape.step()
        return model.eval()

    def _batch(self, places: Sequence[int]) -> tuple[dict[str, Any], Maps]:
        rows = torch.tensor(places)
        maps = {layer: answers[rows] for layer, answers in self.train.maps.items()}
        height, width = self.spec.imgsz
        index, labels, boxes = [], [], []
        for row, place in enumerate(places):
            items = self.train.samples[place].instances
            corners = np.asarray([item.box for item in items], np.float32).reshape(-1, 4)
            x1, y1, x2, y2 = self.train.letterboxes[place].to_input(corners).T
            centre = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
            boxes.append(np.stack([*centre, (x2 - x1) / width, (y2 - y1) / height], axis=1))
            labels += [float(item.category) for item in items]
            index += [float(row)] * len(items)
        return {
            "batch_idx": torch.tensor(index),
            "cls": torch.tensor(labels).reshape(-1, 1),
            "bboxes": torch.from_numpy(np.concatenate(boxes)),
        }, maps

    def found(self, model: Any, seen: Seen, **settings: Any) -> list[Detections]:
        with torch.inference_mode():
            answers, _ = run_rest(model, self.cut, seen.maps)
        return decode([answers.numpy()], self.spec, seen.letterboxes, **settings)

    def measure(self, model: Any) -> float:
        """mAP50-95 on val."""
        found = self.found(model, self.val, **VALIDATION)
        pairs = zip((image.id for image in self.truth.images), found, strict=True)
        sheet = make_sheet(self.truth, pairs, names=self.spec.names)
        return scored(sheet).main.map50_95

    def more(self, score: str, model: Any, places: Sequence[int], size: int) -> list[int]:
        """These images, and those that a score adds to them, up to `size`."""
        rest = [k for k in range(len(self.train.samples)) if k not in set(places)]
        found = self.found(model, self.train, conf=LEAST_SCORE)
        doubts = np.stack([class_doubts(found[k], self.spec.class_count) for k in rest])
        order = SCORES[score](doubts, self.train.features[rest], self.train.features[list(places)])
        return [*places, *(rest[k] for k in list(order)[: size - len(places)])]


@dataclass
class Courses:
    """The steps of all courses, kept in `folder`, so that what was interrupted goes on.

    sizes: numbers of labels. at_random: those of random choice, which are to be reached.
    """

    bench: Bench
    folder: Path
    sizes: Sequence[int]
    at_random: Sequence[int]

    def run(self, score: str, seed: int) -> list[float]:
        """mAP50-95 after each number of labels."""
        drawn = np.random.default_rng(seed).permutation(len(self.bench.train.samples)).tolist()
        values, last = [], None
        for size in self.at_random if score == "random" else self.sizes:
            last = self._step(score, seed, size, drawn, last)
            values.append(round(last["map50_95"], 4))
        return values

    def _step(
        self, score: str, seed: int, size: int, drawn: Sequence[int], last: dict[str, Any] | None
    ) -> dict[str, Any]:
        path = self.folder / f"{'start' if last is None else score}-{size}-{seed}.pt"
        if not path.is_file():
            places = list(drawn[:size])
            if last is not None and score != "random":
                model = deepcopy(self.bench.model)
                model.load_state_dict(last["state"])
                places = self.bench.more(score, model.eval(), last["places"], size)
            model = self.bench.trained(places, seed)
            value = self.bench.measure(model)
            with atomic_path(path) as scratch:
                torch.save(
                    {"places": places, "map50_95": value, "state": model.state_dict()}, scratch
                )
            print(f"{path.stem}: {value:.3f}", flush=True)
        step: dict[str, Any] = torch.load(path, weights_only=True)
        return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("DETECT_TL_SHARED") or ".")
    parser.add_argument("--data", type=Path, default=shared / "data/voc_bccd/BCCD")
    parser.add_argument("--weights", type=Path, default=shared / "weights/yolo11n.pt")
    parser.add_argument("--scores", nargs="+", default=["rank"], choices=list(SCORES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 40, 60, 80])
    parser.add_argument("--at-random", type=int, nargs="+", default=[20, 40, 60, 80, 100])
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps every step")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    courses = Courses(Bench(arguments), arguments.work, arguments.sizes, arguments.at_random)
    curves: dict[str, list[list[float]]] = {}
    for seed in arguments.seeds:
        for score in ("random", *arguments.scores):
            curves.setdefault(score, []).append(courses.run(score, seed))
    if arguments.json:
        print(json.dumps(curves, indent=2))
        return
    for score, found in curves.items():
        means = [fmean(values) for values in zip(*found, strict=True)]
        sizes = arguments.at_random if score == "random" else arguments.sizes
        pairs = zip(sizes, means, strict=True)
        listed = "  ".join(f"{size}: {value:.3f}" for size, value in pairs)
        print(f"{score:12} {listed}")


if __name__ == "__main__":
    main()
