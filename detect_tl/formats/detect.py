"""Reading whatever a folder holds: pick the format, and say why it was picked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Report
from detect_tl.formats import prepared
from detect_tl.formats.base import Format, Sniff, load_format, load_formats
from detect_tl.formats.options import RECOGNISE, ReadOptions
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
    path: Path, *, options: ReadOptions = RECOGNISE, report: Report | None = None
) -> ReadResult:
    """Read annotations in any format, or a data set folder that `convert` wrote.

    options: what is known of them; with any of it, a data set folder is read like any other.
    Raises DataError when there is nothing to read, when formats are mixed, or when a file cannot
    be used; UsageError for an unknown format name or options that do not fit the source.
    """
    report = Report() if report is None else report
    if options == RECOGNISE and is_prepared(path):
        dataset = prepared.read_prepared(path, report)
        files = tuple(prepared.annotation_files(path))
        explanation = f"{prepared.NAME}: it has {prepared.PROVENANCE} and annotations/"
        result = ReadResult(dataset, report, "prepared", explanation, files, path)
    else:
        source = Source(path, options)
        choice = choose(source)
        dataset = choice.format.read(source, report)
        result = ReadResult(
            dataset, report, choice.format.name, choice.explanation, choice.files, source.root
        )
    _refuse_empty(result, path)
    return result


def choose(source: Source) -> Choice:
    """Decide which format a source is in, among those that understand the options it came with.

    Raises DataError when none fits, or when several do and none was asked for; UsageError when
    the one that was asked for does not understand an option.
    """
    special = source.options.special
    if source.options.from_format is not None:
        asked = load_format(source.options.from_format)
        _refuse_options(asked, special)
        found = asked.sniff(source)
        if not found.matches:
            raise DataError(
                f"no {asked.title} annotations: {found.reason}",
                path=source.path,
                hint="Leave out --from to have the format recognised.",
            )
        return Choice(asked, found.files, f"{asked.title}, as asked for: {found.reason}")
    able = [candidate for candidate in load_formats() if special <= candidate.options]
    if not able:
        raise UsageError(f"no format on offer understands {_flags(special)}")
    sniffed = [(candidate, candidate.sniff(source)) for candidate in able]
    fits = [(candidate, found) for candidate, found in sniffed if found.matches]
    if not fits:
        raise _nothing(source, sniffed)
    if len(fits) > 1:
        raise _mixed(source, fits)
    chosen, found = fits[0]
    others = [f"not {f.title}: {s.reason}" for f, s in sniffed if f is not chosen]
    explanation = "; ".join([f"{chosen.title}: {found.reason}", *others])
    return Choice(chosen, found.files, explanation)


def _refuse_options(asked: Format, special: frozenset[str]) -> None:
    unknown = special - asked.options
    if unknown:
        able = [f.name for f in load_formats() if unknown <= f.options]
        raise UsageError(
            f"{asked.title} does not understand {_flags(unknown)}",
            hint=f"These do: {', '.join(able)}" if able else "",
        )


def _flags(options: frozenset[str]) -> str:
    return " and ".join(f"--{name}" for name in sorted(options))


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
