"""Answers of a model as the labels of a dataset folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import Category, Dataset, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.core.model_spec import Task
from detect_tl.core.objects import Instance
from detect_tl.curate.folder import Origin, Recipe, write_folder

# A trainer wants something to validate on after every epoch; nobody goes by it here.
_LOOKED_AT = 4

Labelled = tuple[Path, Size, Sequence[Instance]]


def write_pseudo_labels(
    labelled: Sequence[Labelled],
    destination: Path,
    *,
    root: Path,
    names: Sequence[str],
    task: Task,
    told: Mapping[str, Any],
) -> None:
    """Write pictures with what a model answered, linked to where they are.

    root: folder of the pictures. told: which model, and how it was asked: with the number of
    objects of each class it stands in provenance.json, as `taught`. A few pictures with objects
    become the val split; there must be two pictures at least. Raises what `write_folder` raises.
    """
    shown = _some_to_look_at([bool(found) for _, _, found in labelled])
    samples = tuple(
        Sample(image, size, tuple(found), "val" if place in shown else "train")
        for place, (image, size, found) in enumerate(labelled)
    )
    dataset = Dataset(tuple(Category(name) for name in names), samples)
    taught = {**told, "pictures": len(samples), "objects": dataset.objects_per_class()}
    origin = Origin(
        root,
        root.resolve().name,
        "pseudo-labels",
        "what a model answered",
        "all but a few are to learn from",
        {"source": str(root.resolve()), "taught": taught},
    )
    write_folder(dataset, destination, origin, Report(), Recipe(link="soft", task=task))


def _some_to_look_at(has_objects: Sequence[bool]) -> set[int]:
    """Places of a few pictures: with objects, unless too few would be left to learn from."""
    count = max(min(_LOOKED_AT, len(has_objects) // 4), 1)
    places = [k for k, has in enumerate(has_objects) if has]
    if len(places) <= count:
        places = [k for k, has in enumerate(has_objects) if not has]
    return set(places[:: max(len(places) // count, 1)][:count])
