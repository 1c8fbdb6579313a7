"""Data sets made better: mended, divided, merged, filtered.

All read annotations in any known format and leave them as they are. What they write is a new
dataset folder, whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from detect_tl.api.reading import Reading
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress
from detect_tl.core.shard_size import ShardSize

if TYPE_CHECKING:
    from detect_tl.curate.balance import Balance
    from detect_tl.curate.filter import Wanted
    from detect_tl.curate.folder import Recipe, Written
    from detect_tl.formats.options import ReadOptions


class Options(Reading, total=False):
    """What is known of the source, and how the folder is written.

    to: names of formats. link: how images get into the folder. task: "auto" writes outlines when
    most objects have a mask. shard_size: of WebDataset shards. progress: shows it to a person.
    """

    to: Sequence[str]
    link: Literal["copy", "hard", "soft"]
    task: Task | Literal["auto"]
    shard_size: ShardSize | None
    progress: Progress | None


class _Room(TypedDict):
    """The options as the functions of `curate` take them."""

    recipe: Recipe
    reading: ReadOptions
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class FolderResult:
    """A dataset folder that was written.

    splits: images by split; split_reason: why so. classes: objects by name.
    report: what was read, changed and lost on the way.
    """

    folder: Path
    task: Task
    explanation: str
    splits: dict[str, int]
    split_reason: str
    classes: dict[str, int]
    report: Report

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "task": self.task,
            "explanation": self.explanation,
            "images": self.splits,
            "split_reason": self.split_reason,
            "objects_per_class": self.classes,
            "report": self.report.as_json(),
        }


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What was mended, and what is left to people.

    read: what reading noticed. mended: what was changed and lost, and why. left: what has no one
    right answer. edited: image files that are not written as they are.
    written: None when only a plan was asked for.
    """

    read: Report
    mended: Report
    left: Report
    edited: int
    written: FolderResult | None

    def as_json(self) -> dict[str, Any]:
        return {
            "read": self.read.as_json(),
            "mended": self.mended.as_json(),
            "left": self.left.as_json(),
            "images_edited": self.edited,
            "written": self.written.as_json() if self.written else None,
        }


def repair(
    data: Path,
    destination: Path | None,
    *,
    unite_classes: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> RepairResult:
    """Mend what has one right answer into a new folder, and list what has not.

    destination: None plans only. unite_classes: names that become others, {"Cats": "Cat"}.
    Raises DataError for annotations that cannot be read, UsageError for options that cannot be
    met, MachineError when the disk is full.
    """
    from detect_tl.curate.repair_folder import repair_folder

    place = None if destination is None else Path(destination)
    made = repair_folder(Path(data), place, unite=unite_classes, **_for_room(options))
    plan = made.plan
    written = _folder(made.written) if made.written else None
    return RepairResult(made.read, plan.report, plan.left, len(plan.edits), written)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A data set divided anew; one folder, or one for each fold, with the balance of each."""

    folder: Path
    written: tuple[FolderResult, ...]
    balances: tuple[Balance, ...]

    def as_json(self) -> dict[str, Any]:
        pairs = zip(self.written, self.balances, strict=True)
        made = [{**one.as_json(), "balance": balance.as_json()} for one, balance in pairs]
        return {"folder": str(self.folder), "written": made}


def split(
    data: Path,
    destination: Path,
    *,
    sizes: Sequence[float] = (0.8, 0.1, 0.1),
    folds: int | None = None,
    group_by: str | None = None,
    seed: int = 0,
    **options: Unpack[Options],
) -> SplitResult:
    """Divide a data set anew, classes alike, images that look alike together.

    sizes: shares of train, val and test, or numbers of images. folds: write so many data sets, in
    each of which another part is val. group_by: "folder", "video" or an expression that is looked
    for in the paths of images; those for which it finds the same stay together.
    Raises DataError for annotations that cannot be read or divided, UsageError for options that
    cannot be met, MachineError when the disk is full.
    """
    from detect_tl.curate.resplit import split_dataset

    made = split_dataset(
        Path(data),
        Path(destination),
        sizes=sizes,
        folds=folds,
        group_by=group_by,
        seed=seed,
        **_for_room(options),
    )
    return SplitResult(made.folder, tuple(map(_folder, made.written)), made.balances)


def merge(
    sources: Sequence[Path],
    destination: Path,
    *,
    same: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> FolderResult:
    """Write several data sets as one: classes united by name, images that are the same kept once.

    same: names of classes that become others, {"sedan": "car"}.
    Raises DataError for annotations that cannot be read, UsageError for options that cannot be
    met, MachineError when the disk is full.
    """
    from detect_tl.curate.merge import merge_folders

    places = [Path(source) for source in sources]
    return _folder(merge_folders(places, Path(destination), same=same, **_for_room(options)))


def filter(  # noqa: A001 - the verb is called so
    data: Path, destination: Path, wanted: Wanted, **options: Unpack[Options]
) -> FolderResult:
    """Write the part of a data set that is wanted; the rest is counted by reason.

    wanted: `Wanted(classes=["cat"])` and so on, from `detect_tl.curate.filter`.
    Raises DataError when nothing is left, UsageError for options that cannot be met, MachineError
    when the disk is full.
    """
    from detect_tl.curate.filter import filter_folder

    return _folder(filter_folder(Path(data), Path(destination), wanted, **_for_room(options)))


def _for_room(options: Options) -> _Room:
    """Raise TypeError for an option that there is not."""
    from detect_tl.curate.folder import Recipe
    from detect_tl.formats.options import ReadOptions

    rest: dict[str, Any] = {**options}
    progress = rest.pop("progress", None)
    names = ("to", "link", "task", "shard_size")
    recipe = Recipe(**{name: rest.pop(name) for name in names if name in rest})
    return {"recipe": recipe, "reading": ReadOptions(**rest), "progress": progress}


def _folder(written: Written) -> FolderResult:
    from detect_tl.curate.stats import split_table

    splits = {name: row["images"] for name, row in split_table(written.as_written).items()}
    origin = written.origin
    return FolderResult(
        written.folder,
        written.task,
        origin.explanation,
        splits,
        origin.split_reason,
        written.as_written.objects_per_class(),
        written.report,
    )
