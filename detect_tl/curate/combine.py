"""Several data sets, and classes that a model is to keep, as one folder to train on."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.core.words import listed
from detect_tl.curate.checks import drop_unusable
from detect_tl.curate.convert import Division, curated
from detect_tl.curate.filter import Wanted, filter_dataset
from detect_tl.curate.folder import Recipe, Written, check_destination, write_folder
from detect_tl.curate.merge import merge_reads, origin_of_several
from detect_tl.curate.placing import Link
from detect_tl.curate.rules import variants
from detect_tl.curate.split import settle_splits
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions


@dataclass(frozen=True, slots=True)
class Replay:
    """Labelled images of classes that are kept, of which some are trained on beside the new ones.

    seed: of the choice.
    """

    source: Path
    seed: int = 0

    def choose(self, old: Dataset, new: int) -> Dataset:
        """As many of its images as sqrt(old / new) for each of the new ones, if there are so many.

        old: all in train. new: number of new images for training.
        """
        count = min(round(math.sqrt(len(old) * new)), len(old))
        chosen = sorted(random.Random(self.seed).sample(range(len(old)), count))
        return replace(old, samples=tuple(old.samples[k] for k in chosen))


def combine(
    sources: Sequence[Path],
    destination: Path,
    *,
    keep: Sequence[str] = (),
    same: Mapping[str, str] | None = None,
    replay: Replay | None = None,
    reading: ReadOptions = RECOGNISE,
    split: Sequence[float] | None = None,
    seed: int = 0,
    link: Link = "copy",
    task: Task | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Written:
    """Read, mend and divide each data set by itself, as `convert` does, and write all as one.

    keep: classes that come first, whether a data set has them or not; one that differs from them in
    case or spaces only is theirs. same: names of classes that become others, {"sedan": "car"}.
    replay: images of kept classes; other objects in them go, for they are not what is learned.
    A class that a data set does not know was not looked for in its images.
    Raises DataError for a source that cannot be used, UsageError for options that cannot be met,
    MachineError when the disk is full.
    """
    progress = progress or Silent()
    for source in sources:
        check_destination(source, destination)
    places = [source.absolute() for source in sources]
    reads = [read_dataset(p, options=reading) for p in track(progress, places, "Reading")]
    chosen = task if task != "auto" else _everything(reads).natural_task
    how = Division(split, seed, None)
    divided = [replace(r, dataset=curated(r, chosen, how, progress)[1]) for r in reads]
    if replay is not None:
        places.append(replay.source.absolute())
        new = sum(len(read.dataset.in_split("train")) for read in divided)
        reads.append(_replayed(replay, new, keep, reading))
        divided.append(reads[-1])
    names = [name for read in divided for name in read.dataset.names]
    merged = merge_reads(divided, places, {**_kept(keep, names), **(same or {})}, first=keep)
    settled, reason = settle_splits(merged.dataset, merged.report)
    options = {
        **reading.as_json(),
        "map": dict(same or {}),
        "keep": list(keep),
        "split": list(split) if split else None,
        "seed": seed,
        "replay": str(replay.source) if replay else None,
    }
    return write_folder(
        settled,
        destination,
        origin_of_several(reads, places, reason, options),
        merged.report,
        Recipe(link=link, task=chosen),
        sources=merged.sources,
        progress=progress,
    )


def _replayed(replay: Replay, new: int, keep: Sequence[str], reading: ReadOptions) -> ReadResult:
    """Some images of what is to be replayed, with the objects of kept classes, all in train."""
    read = read_dataset(replay.source.absolute(), options=reading)
    usable = drop_unusable(read.dataset, read.report, Silent())
    known = [name for name in usable.names if name in keep]
    if not known:
        raise DataError(
            "has none of the classes that are kept",
            path=replay.source,
            hint=f"It has {listed(usable.names)}; kept are {listed(keep)}.",
        )
    old = replace(usable, samples=tuple(replace(s, split="train") for s in usable.samples))
    chosen = replay.choose(filter_dataset(old, Wanted(classes=known), read.report), new)
    return replace(read, dataset=chosen)


def _everything(reads: Sequence[ReadResult]) -> Dataset:
    """All samples, to count what kinds of objects there are; their classes mean nothing."""
    return Dataset((), tuple(sample for read in reads for sample in read.dataset.samples))


def _kept(keep: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Names that are those of kept classes, written otherwise."""
    every = list(dict.fromkeys([*keep, *names]))
    return {
        every[other]: every[first]
        for first, *others in variants(every)
        for other in others
        if every[first] in keep and every[other] not in keep
    }
