"""Which weights to start from, and how much of them to keep, before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from detect_tl.api.reading import Reading
from detect_tl.core.allocator import keeping_freed_memory
from detect_tl.core.errors import DataError, UsageError, WeightsError
from detect_tl.core.progress import Progress, Silent, track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detect_tl.core.dataset import Dataset, Sample
    from detect_tl.evaluation.ranking import Candidate, Depth, Ranking
    from detect_tl.models.checkpoint import Checkpoint
    from detect_tl.training.pictures import Picture
    from detect_tl.training.probing import Look, Points

RANDOM = "random"
"""The name of a control: yolo11n with random numbers."""

DEPTHS = ("neck", "backbone", "5")
IMAGES = 32

# Directions of features that are probed: more of them cost time, and say no more.
_COMPONENTS = 128


def weights_rank(
    data: str | Path,
    weights: Sequence[str | Path] = (),
    *,
    depths: Sequence[str] = DEPTHS,
    images: int = IMAGES,
    imgsz: int = 640,
    seed: int = 0,
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Ranking:
    """Rank weights, and what might stay frozen of them, for this data; nothing is trained.

    Every candidate looks once at up to `images` pictures of the train split, drawn so that each
    class is among them. From what its layers answer, classes are imprinted (see
    `detect_tl.training.imprint`), and its own boxes with these classes are scored: mAP50-95. At
    every depth that could be frozen, a linear probe of the features there says how well they tell
    objects from each other and from what is none, and where their edges are.

    It is a hint: over four data sets with six candidates each, Spearman's correlation of the score
    with the mAP50-95 after three epochs was .69 on average, .45 without the control, from 0 to 1 by
    data set. The probe of edges at the backbone had .87 and .78 there; but on four other sets, of
    ten epochs, it could not tell the candidates of two from each other, while the score had .76 and
    .60 (`tools/bench_rank.py`).

    weights: names, run folders or .pt files, and "random" for a control; all that are on this
    machine, and the control, when empty. depths: as for `--freeze`.

    Raises UsageError for a depth that a candidate does not have, DataError for data without
    objects to learn from, WeightsError for named weights that are missing or refused.
    """
    from detect_tl.evaluation.ranking import Ranking
    from detect_tl.training.beginning import check_device

    if images < 2:
        raise UsageError("2 images at least are needed: one to learn from, one to judge")
    if imgsz < 32 or imgsz % 32:
        raise UsageError(f"imgsz is {imgsz}", hint="Take a multiple of 32.")
    began, show = time.perf_counter(), progress or Silent()
    check_device(device)
    with show.step(f"Reading {Path(data).name}"):
        pupil = _Data.of(Path(data), images, imgsz, seed, reading)
    sources, left_out = _sources(weights, trust, show)
    with keeping_freed_memory():
        ranked = [
            pupil.judge(name, source, depths, device, seed)
            for name, source in track(show, sources, "Looking")
        ]
    ranked.sort(key=lambda candidate: -candidate.score)
    return Ranking(
        Path(data),
        len(pupil.pictures),
        sum(len(picture.labels) for picture in pupil.pictures),
        imgsz,
        tuple(ranked),
        left_out,
        time.perf_counter() - began,
    )


@dataclass(frozen=True, slots=True)
class _Data:
    """Pictures to look at, in the order in which they are divided: every second one learns."""

    names: tuple[str, ...]
    imgsz: int
    pictures: list[Picture]
    points: Points

    @classmethod
    def of(cls, data: Path, images: int, imgsz: int, seed: int, reading: Reading) -> _Data:
        from detect_tl.formats.detect import read_dataset
        from detect_tl.formats.options import ReadOptions
        from detect_tl.training.pictures import Pictures
        from detect_tl.training.probing import choose_points, read_pictures

        dataset = read_dataset(data, options=ReadOptions(**reading)).dataset
        samples = _drawn(dataset, images, seed)
        if len(samples) < 2:
            raise DataError(
                f"has {len(samples)} training images with objects, and 2 at least are needed",
                path=data,
                hint="Annotate more images.",
            )
        pictures = read_pictures(Pictures(samples, imgsz), imgsz)
        return cls(tuple(dataset.names), imgsz, pictures, choose_points(pictures, imgsz, seed))

    def judge(
        self, name: str, source: Checkpoint, depths: Sequence[str], device: str, seed: int
    ) -> Candidate:
        from detect_tl.evaluation.ranking import Candidate
        from detect_tl.training.oneshot import torch_device, transferred_model
        from detect_tl.training.probing import look

        began = time.perf_counter()
        counts = {depth: _count_frozen(depth, source) for depth in depths}
        model, plan = transferred_model(source, self.names, task=source.task, seed=seed)
        seen = look(model, self.pictures, self.points, list(counts), torch_device(device))
        score = self._score(model, seen, plan.new_classes())
        probed = tuple(self._depth(d, count, seen.features[d]) for d, count in counts.items())
        return Candidate(
            name,
            None if name == RANDOM else source.path,
            sum(value.numel() for value in source.model.parameters()),
            score,
            plan.classes.reused,
            time.perf_counter() - began,
            probed,
        )

    def _score(self, model: Any, seen: Look, new: Sequence[int]) -> float:
        """MAP50-95 with classes imprinted: every second picture from the others."""
        from detect_tl.core.geometry import Size
        from detect_tl.core.model_spec import ModelSpec
        from detect_tl.evaluation.coco_eval import evaluate
        from detect_tl.evaluation.ranking import CHANCE
        from detect_tl.runtime.postprocess import decode
        from detect_tl.runtime.preprocess import Letterbox
        from detect_tl.training.probing import answers_by_imprinting

        count, sides = len(self.pictures), (self.imgsz, self.imgsz)
        spec = ModelSpec(names=self.names, imgsz=sides)
        whole = Letterbox(Size(*sides), sides, Size(*sides), 0, 0)
        found = []
        for first in (0, 1):
            learn, judge = range(1 - first, count, 2), range(first, count, 2)
            answers = answers_by_imprinting(
                model, seen, self.pictures, learn=learn, judge=judge, classes=new
            )
            boxes = decode([answers], spec, [whole] * len(judge), conf=CHANCE, multi_label=True)
            found += list(zip(judge, boxes, strict=True))
        return evaluate(self._truth(), found, names=self.names).box.map50_95 or 0.0

    def _truth(self) -> dict[str, Any]:
        side = {"width": self.imgsz, "height": self.imgsz}
        objects = [
            (number, int(label), box)
            for number, picture in enumerate(self.pictures)
            for label, box in zip(picture.labels, picture.boxes.tolist(), strict=True)
        ]
        return {
            "images": [{"id": k, **side} for k in range(len(self.pictures))],
            "categories": [{"id": k, "name": name} for k, name in enumerate(self.names)],
            "annotations": [
                {
                    "id": k,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
                for k, (number, label, (x1, y1, x2, y2)) in enumerate(objects, start=1)
            ],
        }

    def _depth(self, name: str, frozen: int, features: NDArray[Any]) -> Depth:
        """Probe the features at a depth."""
        import numpy as np

        from detect_tl.evaluation.ranking import Depth
        from detect_tl.evaluation.transferability import (
            balanced_accuracy,
            explained,
            logme,
            principal,
            ridge_probe,
        )

        points, features = self.points, principal(features, _COMPONENTS)
        kinds = np.unique(points.label)
        wanted = (points.label[:, None] == kinds).astype(np.float64)
        named = kinds[ridge_probe(features, wanted, points.picture).argmax(axis=1)]
        chance = 1 / len(kinds)
        above = balanced_accuracy(points.label, named) - chance
        right = above / (1 - chance) if len(kinds) > 1 else 0.0
        objects = points.label >= 0
        sides = points.sides[objects]
        boxes = ridge_probe(features[objects], sides, points.picture[objects])
        evidence = logme(features, wanted - wanted.mean(axis=0))
        return Depth(name, frozen, max(right, 0.0), explained(sides, boxes), evidence)


def _count_frozen(depth: str, source: Checkpoint) -> int:
    """How many layers a depth means in a model; raise UsageError where it is none."""
    from detect_tl.transfer.freeze import frozen_layers

    count = len(frozen_layers(depth, source.yaml).layers)
    if not count:
        raise UsageError(
            f"at depth {depth} nothing is frozen, so there are no features to look at",
            hint="For example --depths neck,backbone,5.",
        )
    return count


def _drawn(dataset: Dataset, images: int, seed: int) -> list[Sample]:
    """Training pictures with objects (all pictures where there are no splits), as many of each
    class as have room, in an order that the seed decides."""
    import numpy as np

    from detect_tl.curate.shots import draw_shots

    samples = dataset.in_split("train") or list(dataset.samples)
    chosen: list[int] = []
    for shots in range(1, images + 1):
        more = draw_shots(samples, len(dataset.categories), shots, seed)
        if len(more) > images and chosen:
            break
        chosen = more[:images]
        if len(more) >= images:
            break
    order = np.random.default_rng(seed).permutation(len(chosen))
    return [samples[chosen[k]] for k in order]


def _sources(
    weights: Sequence[str | Path], trust: bool, progress: Progress
) -> tuple[list[tuple[str, Checkpoint]], dict[str, str]]:
    """The candidates by name; and of those that nobody named, why some are left out."""
    from detect_tl.models.checkpoint import load_checkpoint
    from detect_tl.transfer.fetch import locate
    from detect_tl.transfer.library import list_weights

    names = [str(each) for each in weights]
    if not names:
        names = [row.entry.name for row in list_weights() if row.path] + [RANDOM]
    found: list[tuple[str, Checkpoint]] = []
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            if name == RANDOM:
                found.append((name, _random()))
                continue
            located = locate(name, trust=trust, progress=progress)
            found.append((name, load_checkpoint(located.path, trust=trust)))
        except WeightsError as error:
            if weights:
                raise
            left_out[name] = str(error)
    return found, left_out


def _random() -> Checkpoint:
    """A model of random numbers, as if it were a checkpoint."""
    import torch

    from detect_tl.models.checkpoint import Checkpoint
    from detect_tl.models.yolo import build_model, model_config

    torch.manual_seed(0)
    config = model_config("yolo11n", "detect")
    model: Any = build_model(config, "detect", 80).eval()
    names = tuple(f"class-{row}" for row in range(80))
    return Checkpoint(Path(RANDOM), model, "detect", names, model.yaml, {}, {})
