"""Dividing a data set anew: into train, val and test, or into folds for cross-validation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import Dataset
from detect_tl.core.files import atomic_folder
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, Silent
from detect_tl.curate.balance import Balance, balance_of, uneven_splits
from detect_tl.curate.folder import Recipe, Written, check_destination, origin_of, write_folder
from detect_tl.curate.groups import together
from detect_tl.curate.split import DEFAULT_FRACTIONS, SplitPlan, plan_folds, plan_split, shares_of
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions


@dataclass(frozen=True, slots=True)
class Divided:
    """The folders that were written, one for each fold, and how evenly each is divided."""

    folder: Path
    written: tuple[Written, ...]
    balances: tuple[Balance, ...]


def split_dataset(
    source: Path,
    destination: Path,
    *,
    sizes: Sequence[float] = DEFAULT_FRACTIONS,
    folds: int | None = None,
    group_by: str | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
    reading: ReadOptions = RECOGNISE,
    progress: Progress | None = None,
) -> Divided:
    """Divide all images anew, whatever splits they had, and write the result; nothing is mended.

    Classes are divided alike; images that look alike stay together, and those of a group.
    sizes: shares of train, val and test, or numbers of images. folds: write as many data sets,
        `destination/fold-1`, …, in each of which another part of the images is val.
    group_by: see `groups.group_keys`.
    Raises DataError for a source that cannot be read or divided like this, UsageError for options
    that cannot be met, MachineError when the disk is full.
    """
    progress = progress or Silent()
    recipe = recipe or Recipe()
    recipe.check()
    check_destination(source, destination)
    with progress.step(f"Reading {source.name}"):
        read = read_dataset(source, options=reading)
    most = max(shares_of(sizes, len(read.dataset))) if folds is None else 1 - 1 / folds
    groups = together(
        read.dataset, read.root, group_by, most=most, report=read.report, progress=progress
    )
    options = {**recipe.as_json(), **reading.as_json(), "group_by": group_by, "seed": seed}
    work = _Work(read, source, recipe, groups, progress)
    if folds is None:
        plan = plan_split(read.dataset, sizes, seed, groups)
        written, balance = work.write(destination, plan, {**options, "split": list(sizes)})
        return Divided(destination, (written,), (balance,))
    made = []
    with atomic_folder(destination) as folder:
        for number, plan in enumerate(plan_folds(read.dataset, folds, seed, groups), start=1):
            fold = {**options, "folds": folds, "fold": number}
            made.append(work.write(folder / f"fold-{number}", plan, fold))
    written_folds = tuple(one.moved(folder, destination) for one, _ in made)
    return Divided(destination, written_folds, tuple(balance for _, balance in made))


@dataclass(frozen=True, slots=True)
class _Work:
    """What all folds have in common."""

    read: ReadResult
    source: Path
    recipe: Recipe
    groups: Sequence[Hashable]
    progress: Progress

    def write(
        self, destination: Path, plan: SplitPlan, options: dict[str, Any]
    ) -> tuple[Written, Balance]:
        divided = plan.apply(self.read.dataset)
        balance = balance_of(divided, plan.wanted or {})
        report = deepcopy(self.read.report)
        _say(report, plan, balance, self.groups, divided)
        facts = {"balance": balance.as_json()}
        origin = origin_of(self.read, self.source, plan.reason, options, facts)
        written = write_folder(
            divided, destination, origin, report, self.recipe, progress=self.progress
        )
        return written, balance


def _say(
    report: Report,
    plan: SplitPlan,
    balance: Balance,
    groups: Sequence[Hashable],
    dataset: Dataset,
) -> None:
    report.add("split.plan", "info", plan.reason)
    names = [sample.image.name for sample in dataset.samples]
    report.extend(uneven_splits(balance, groups, names))
