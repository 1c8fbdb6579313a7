"""Mending a data set into a new folder; the source is left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, Silent
from detect_tl.curate.folder import Recipe, Written, check_destination, origin_of, write_folder
from detect_tl.curate.repair import MendingPlan, plan_mending
from detect_tl.curate.split import settle_splits
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions


@dataclass(frozen=True, slots=True)
class Repaired:
    """read: what reading noticed. written: None when only a plan was asked for."""

    read: Report
    plan: MendingPlan
    written: Written | None


def repair_folder(
    source: Path,
    destination: Path | None,
    *,
    unite: Mapping[str, str] | None = None,
    recipe: Recipe | None = None,
    reading: ReadOptions = RECOGNISE,
    progress: Progress | None = None,
) -> Repaired:
    """Mend what has one right answer, list the rest, and write the result.

    destination: None makes the plan and writes nothing. unite: classes that become others.
    Splits stay as they are. Raises DataError for a source that cannot be read, UsageError for
    options that cannot be met, MachineError when the disk is full.
    """
    progress = progress or Silent()
    recipe = recipe or Recipe()
    recipe.check()
    if destination is not None:
        check_destination(source, destination)
    with progress.step(f"Reading {source.name}"):
        read = read_dataset(source, options=reading)
    settled, reason = settle_splits(read.dataset, read.report)
    noticed = deepcopy(read.report)
    plan = plan_mending(settled, unite, progress)
    if destination is None:
        return Repaired(noticed, plan, None)
    options = {**recipe.as_json(), **reading.as_json(), "unite": dict(unite or {})}
    facts = {"mended": plan.report.by_code(), "left": plan.left.by_code()}
    origin = origin_of(read, source, reason, options, facts)
    report = read.report
    report.merge(plan.report)
    report.merge(plan.left)
    written = write_folder(
        plan.dataset, destination, origin, report, recipe, edits=plan.edits, progress=progress
    )
    return Repaired(noticed, plan, written)
