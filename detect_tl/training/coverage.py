"""What the labels of a picture say, and of what they say nothing.

Where several data sets are one, a class that one of them does not know was not looked for in its
pictures: its objects there are no background. And where some pictures have outlines, those that
have boxes only still teach boxes.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.files import read_json
from detect_tl.core.model_spec import Task
from detect_tl.training.determinism import nested


@dataclass(frozen=True, slots=True)
class Coverage:
    """open: ids of classes that were not looked for, ascending. outlined: whether every object has
    an outline, as far as outlines are learned."""

    open: tuple[int, ...] = ()
    outlined: bool = True


WHOLE = Coverage()

Coverages = Mapping[str, Coverage]
"""By the name of the picture's file; a picture that is not there is covered whole."""


def read_coverage(folder: Path, split: str, task: Task, names: Sequence[str]) -> Coverages:
    """What the labels of a split of a dataset folder leave open, by picture.

    names: of the classes, in the order of their ids. A folder that was not written by this package
    leaves nothing open.
    """
    path = folder / "annotations" / f"{split}.json"
    if not path.is_file():
        return {}
    document = read_json(path)
    ids = {c["id"]: names.index(c["name"]) for c in document["categories"] if c["name"] in names}
    bare = _without_outline(document) if task == "segment" else set()
    found = {}
    for image in document["images"]:
        left = image.get("not_exhaustive_category_ids") or ()
        open_ = tuple(sorted({ids[k] for k in left if k in ids}))
        found[image["file_name"]] = Coverage(open_, image["id"] not in bare)
    return {name: coverage for name, coverage in found.items() if coverage != WHOLE}


def _without_outline(document: Mapping[str, Any]) -> set[int]:
    """Images with an object that has no outline."""
    return {a["image_id"] for a in document["annotations"] if not a.get("segmentation")}


def coverage_of(file: str, coverages: Coverages) -> Coverage:
    """file: path of a picture."""
    return coverages.get(Path(file).name, WHOLE)


def keep_apart(dataset: Any, coverages: Coverages) -> None:
    """Let mosaic and mixing put only pictures together whose labels say the same much.

    dataset: of Ultralytics. A picture made of four then leaves open what each of them does.
    """
    if not coverages:
        return
    groups: dict[Coverage, list[int]] = defaultdict(list)
    for index, file in enumerate(dataset.im_files):
        groups[coverage_of(file, coverages)].append(index)
    for transform in nested(getattr(dataset, "transforms", None)):
        if hasattr(transform, "get_indexes") and not isinstance(transform.get_params, _Alike):
            transform.get_params = _Alike(transform, coverages, groups)


class _Alike:
    """Chooses the other pictures of a mixture among those that are covered like the first."""

    def __init__(
        self, mixture: Any, coverages: Coverages, groups: Mapping[Coverage, Sequence[int]]
    ) -> None:
        self._plain = mixture.get_params
        self._count = mixture.get_indexes
        self._mixture = mixture
        self._coverages = coverages
        self._groups = groups

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        alike = self._groups[coverage_of(labels["im_file"], self._coverages)]
        asked = self._count()  # one, or a list of several
        count = 1 if isinstance(asked, int) else len(asked)
        chosen = random.choices(alike, k=count)
        self._mixture.get_indexes = lambda: chosen
        try:
            found: dict[str, Any] = self._plain(labels)
        finally:
            del self._mixture.get_indexes
        return found


def leave_open(validator: Any, coverages: Coverages) -> None:
    """Let a validator of Ultralytics not count what is found of a class that was not looked for."""
    count = validator.update_metrics

    def count_covered(preds: list[dict[str, Any]], batch: dict[str, Any]) -> None:
        kept = []
        for found, file in zip(preds, batch["im_file"], strict=True):
            open_ = found["cls"].new_tensor(coverage_of(file, coverages).open)
            covered = ~(found["cls"][:, None] == open_).any(dim=1)
            kept.append({name: values[covered] for name, values in found.items()})
        count(kept, batch)

    if coverages:
        validator.update_metrics = count_covered
