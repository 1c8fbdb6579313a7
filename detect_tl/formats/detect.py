"""Reading whatever a folder holds: pick the format, and say why it was picked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.formats import prepared
from detect_tl.formats.base import Format, Sniff, load_format, load_formats
from detect_tl.formats.prepared import is_prepared
from detect_tl.formats.source import Source

__all__ = ["Choice", "ReadResult", "choose", "is_prepared", "read_dataset"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The format of a source, and the reasons for it and against the others."""

    format: Format
    files: tuple[Path, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A data set as its source has it, with the report of the reading.

    format: name of the format. explanation: why this one, and why none of the others.
    files: the annotation files. root: the folder that relative names in reports start from.
    """

    dataset: Dataset
    report: Report
    format: str
    explanation: str
    files: tuple[Path, ...]
    root: Path


def read_dataset(
    path: Path, *, from_format: str | None = None, report: Report | None = None
) -> ReadResult:
    """Read annotations in any format, or a data set folder that `convert` wrote.

    from_format: name of a format, to read only the files of that one.
    Raises DataError when there is nothing to read, when formats are mixed, or when a file cannot
    be used; UsageError for an unknown format name.
    """
    report = Report() if report is None else report
    if from_format is None and is_prepared(path):
        dataset = prepared.read_prepared(path, report)
        files = tuple(prepared.annotation_files(path))
        explanation = f"{prepared.NAME}: it has {prepared.PROVENANCE} and annotations/"
        result = ReadResult(dataset, report, "prepared", explanation, files, path)
    else:
        source = Source(path)
        choice = choose(source, from_format)
        dataset = choice.format.read(source, report)
        result = ReadResult(
            dataset, report, choice.format.name, choice.explanation, choice.files, source.root
        )
    _refuse_empty(result, path)
    return result


def choose(source: Source, from_format: str | None = None) -> Choice:
    """Decide which format a source is in.

    Raises DataError when none fits, or when several do and none was asked for.
    """
    if from_format is not None:
        asked = load_format(from_format)
        found = asked.sniff(source)
        if not found.matches:
            raise DataError(
                f"no {asked.title} annotations: {found.reason}",
                path=source.path,
                hint="Leave out --from to have the format recognised.",
            )
        return Choice(asked, found.files, f"{asked.title}, as asked for: {found.reason}")
    sniffed = [(candidate, candidate.sniff(source)) for candidate in load_formats()]
    fits = [(candidate, found) for candidate, found in sniffed if found.matches]
    if not fits:
        raise _nothing(source, sniffed)
    if len(fits) > 1:
        raise _mixed(source, fits)
    chosen, found = fits[0]
    others = [f"not {f.title}: {s.reason}" for f, s in sniffed if f is not chosen]
    explanation = "; ".join([f"{chosen.title}: {found.reason}", *others])
    return Choice(chosen, found.files, explanation)


def _nothing(source: Source, sniffed: list[tuple[Format, Sniff]]) -> DataError:
    images = len(source.images.images)
    looked = "; ".join(f"{f.title}: {s.reason}" for f, s in sniffed)
    return DataError(
        f"no annotations found beside {images} images ({looked})",
        path=source.path,
        hint="Name the folder that holds both the images and their annotations.",
    )


def _mixed(source: Source, fits: list[tuple[Format, Sniff]]) -> DataError:
    listed = "; ".join(
        f"{f.title}: {s.reason}, such as {source.short(s.files[0])}" for f, s in fits
    )
    names = " or ".join(f"--from {f.name}" for f, _ in fits)
    return DataError(
        f"{len(fits)} annotation formats are mixed ({listed})",
        path=source.path,
        hint=f"Say which one to read, {names}, or name a sub-folder.",
    )


def _refuse_empty(result: ReadResult, path: Path) -> None:
    if len(result.dataset):
        return
    first = next(result.report.of("error"), None)
    why = f"; the first problem is: {first}" if first else ""
    raise DataError(
        f"no image could be read{why}",
        path=path,
        hint="Put the images beside the annotations, or in a folder named images.",
    )
