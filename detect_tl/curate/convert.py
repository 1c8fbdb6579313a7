"""From annotations in any format to a data set folder to train on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import Task
from detect_tl.core.parallel import uncollected
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.shard_size import ShardSize
from detect_tl.curate.checks import drop_unusable
from detect_tl.curate.checks.copies import repeated
from detect_tl.curate.duplicates import identical_groups
from detect_tl.curate.folder import (
    DEFAULT_FORMATS,
    Recipe,
    Written,
    check_destination,
    origin_of,
    write_folder,
)
from detect_tl.curate.groups import together
from detect_tl.curate.placing import Link
from detect_tl.curate.repair import plan_repair
from detect_tl.curate.split import DEFAULT_FRACTIONS, SplitPlan, divides, plan_split, shares_of
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions

# To see which images look alike, each has to be decoded: a minute or two for so many.
_COMPARED = 20_000


@dataclass(frozen=True, slots=True)
class Division:
    """How images are divided: see `plan_split` and `groups.group_keys`."""

    fractions: Sequence[float] | None
    seed: int
    group_by: str | None


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What a conversion made.

    written: the folder; its report is of reading, repair and writing.
    format, explanation: of the source, and why it was taken for one.
    """

    written: Written
    format: str
    explanation: str
    split: SplitPlan

    @property
    def folder(self) -> Path:
        return self.written.folder

    @property
    def dataset(self) -> Dataset:
        """As written, with images at their new places."""
        return self.written.dataset

    @property
    def report(self) -> Report:
        return self.written.report

    @property
    def task(self) -> Task:
        return self.written.task

    @property
    def data_yaml(self) -> Path:
        return self.folder / "data.yaml"


def convert(
    source: Path,
    destination: Path,
    *,
    to: Sequence[str] = DEFAULT_FORMATS,
    reading: ReadOptions = RECOGNISE,
    split: Sequence[float] | None = None,
    seed: int = 0,
    group_by: str | None = None,
    link: Link = "copy",
    task: Task | Literal["auto"] = "auto",
    shard_size: ShardSize | None = None,
    progress: Progress | None = None,
) -> ConvertResult:
    """Read annotations, mend them, divide the images and write a data set folder.

    to: names of the formats to write. reading: what is known of the source.
    split: shares of train, val and test; None honours the splits of the source.
    group_by: what else stays together, beside images that look alike, where images are divided.
    link: whether images are copied, hard-linked or sym-linked.
    task: "segment" writes outlines, "detect" boxes; "auto" takes what most objects have.
    shard_size: of formats that hold the images too; None for their own.
    Raises DataError for a source that cannot be used, UsageError for options that cannot be met
    or a destination that is not empty, MachineError when the disk is full.
    """
    recipe = Recipe(to, link, task, shard_size=shard_size)
    recipe.check()
    check_destination(source, destination)
    options = {
        "to": list(to),
        "split": list(split) if split else None,
        "seed": seed,
        "link": link,
        **({"shard_size": str(shard_size)} if shard_size else {}),
        **reading.as_json(),
        **({"group_by": group_by} if group_by else {}),
    }
    progress = progress or Silent()
    with uncollected():
        with progress.step(f"Reading {source.name}"):
            read = read_dataset(source, options=reading)
        chosen = recipe.task_for(read.dataset)
        plan, divided = curated(read, chosen, Division(split, seed, group_by), progress)
        written = write_folder(
            divided,
            destination,
            origin_of(read, source, plan.reason, options),
            read.report,
            replace(recipe, task=chosen),
            progress=progress,
        )
    return ConvertResult(written, read.format, read.explanation, plan)


def curated(
    read: ReadResult, task: Task, how: Division, progress: Progress
) -> tuple[SplitPlan, Dataset]:
    """Leave out what cannot be used, mend what can be mended, and divide the rest."""
    usable = drop_unusable(read.dataset, read.report, progress)
    repaired = plan_repair(usable, task)
    read.report.merge(repaired.report)
    whole = repaired.dataset
    same = identical_groups([s.image for s in whole.samples], [s.header for s in whole.samples])
    keep: Sequence[Hashable] = same
    if divides(whole, how.fractions):
        most = max(shares_of(how.fractions or DEFAULT_FRACTIONS, len(whole)))
        keep = together(
            whole,
            read.root,
            how.group_by,
            most=most,
            report=read.report,
            progress=progress,
            at_most=_COMPARED,
        )
    elif how.group_by is not None:
        raise UsageError(
            "--group-by has no effect: the source has splits of its own, which are kept",
            hint="Add --split 0.8,0.1,0.1 to divide anew.",
        )
    plan = plan_split(whole, how.fractions, how.seed, keep)
    divided = plan.apply(whole)
    read.report.add("split.plan", "info", plan.reason)
    read.report.extend(repeated(divided.samples, same))
    return plan, divided
