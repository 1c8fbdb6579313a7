"""The data of a run: placed where training reads it, with the classes that it is to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.files import read_json, sha256_files
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress
from detect_tl.curate.combine import Replay, combine
from detect_tl.curate.convert import convert
from detect_tl.curate.placing import Link
from detect_tl.formats.prepared import PROVENANCE, annotation_files, is_prepared
from detect_tl.training.config import TrainConfig


def place_dataset(
    config: TrainConfig,
    parent: Path,
    progress: Progress,
    link: Link = "copy",
    keep: Sequence[str] = (),
) -> tuple[Path, str]:
    """The dataset folder of a configuration, and how a file in `parent` names it.

    A prepared one stays where it is, unless it is only a part of what is trained on; anything else
    is written to `parent/dataset`. keep: see `keeping.kept_classes`.
    """
    folder, alone = parent / "dataset", not (config.also or config.replay or config.same)
    if alone and is_prepared(config.data) and not config.reading.chooses and _knows(config, keep):
        return config.data, str(config.data.resolve())
    settings: dict[str, Any] = {
        "reading": config.reading,
        "split": config.split,
        "seed": config.seed,
        "task": config.task,
        "link": link,
        "progress": progress,
    }
    if alone and not keep:
        convert(config.data, folder, **settings)
    else:
        sources = [config.data, *config.also]
        replay = Replay(config.replay, config.seed) if config.replay else None
        combine(sources, folder, keep=keep, same=config.same, replay=replay, **settings)
    return folder, folder.name


def describe_dataset(folder: Path, recorded: str, config: TrainConfig) -> dict[str, Any]:
    """What `dataset.json` says of a dataset folder.

    recorded: how the run names it. What it calls learned are the classes that training pictures
    teach, not those that nobody looked for in any of them. Raises DataError when there is nothing
    to train on or to validate on.
    """
    truths = {path.stem: path for path in annotation_files(folder)}
    documents = {split: read_json(path) for split, path in truths.items()}
    for needed in ("train", "val"):
        if not documents.get(needed, {}).get("images"):
            raise DataError(
                f"the data set has no {needed} images",
                path=config.data,
                hint="Give it more images, or other fractions with --split.",
            )
    return {
        "path": recorded,
        "source": str(config.data.resolve()),
        "sha256": sha256_files(truths.values(), folder),
        "names": [category["name"] for category in documents["train"]["categories"]],
        "learned": _learned(documents["train"]),
        "images": {split: len(d["images"]) for split, d in documents.items()},
        "objects": {split: len(d["annotations"]) for split, d in documents.items()},
        "task": read_json(folder / PROVENANCE)["task"],
    }


def _learned(document: Mapping[str, Any]) -> list[str]:
    left = (set(image.get("not_exhaustive_category_ids") or ()) for image in document["images"])
    never = set.intersection(*left) - {a["category_id"] for a in document["annotations"]}
    return [c["name"] for c in document["categories"] if c["id"] not in never]


def task_of(config: TrainConfig, dataset: dict[str, Any], source: Task) -> Task:
    """What the labels are made for, unless it was said; boxes can be learned from outlines too.

    source: of the weights. Without training a detector stays one: nobody would teach it masks; and
    so does one whose classes keep their layers.
    """
    written: Task = dataset["task"]
    if config.branches and source == "detect" and config.task == "auto":
        return "detect"
    if config.epochs == 0 and source == "detect":
        if config.task == "segment":
            raise UsageError(
                "masks cannot be had without training from weights that know boxes only",
                hint="Leave out --task segment, start from a segmenter, or train.",
            )
        return "detect"
    if config.task == "segment" and written == "detect":
        raise DataError(
            "the labels of this data set are boxes, which a segmenter cannot learn from",
            path=config.data,
            hint="Convert the annotations with --task segment, or train with --task detect.",
        )
    return written if config.task == "auto" else config.task


def _knows(config: TrainConfig, keep: Sequence[str]) -> bool:
    """Whether the classes of a prepared folder begin with those that are kept."""
    if not keep:
        return True
    first = annotation_files(config.data)[0]
    names = [category["name"] for category in read_json(first)["categories"]]
    return names[: len(keep)] == list(keep)
