"""Reading whatever a folder holds, in the format that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report
from detect_tl.formats import prepared
from detect_tl.formats.base import Reader
from detect_tl.formats.choice import Choice, about_links, choose
from detect_tl.formats.mixed import say_outside, unite
from detect_tl.formats.options import RECOGNISE, ReadOptions
from detect_tl.formats.prepared import is_prepared
from detect_tl.formats.source import Source

__all__ = ["Choice", "ReadResult", "choose", "explain", "is_prepared", "read_dataset"]

NO_READERS: Mapping[str, Reader] = MappingProxyType({})

_PREPARED = f"{prepared.NAME}: it has {prepared.PROVENANCE} and annotations/"


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A data set as its source has it, with the report of the reading.

    format: name of the format, or several with "+" between them. explanation: why this one, and
    why none of the others. files: the annotation files. root: the folder that relative names in
    reports start from.
    """

    dataset: Dataset
    report: Report
    format: str
    explanation: str
    files: tuple[Path, ...]
    root: Path


def read_dataset(
    path: Path,
    *,
    options: ReadOptions = RECOGNISE,
    report: Report | None = None,
    readers: Mapping[str, Reader] = NO_READERS,
) -> ReadResult:
    """Read annotations in any format, or a data set folder that `convert` wrote.

    options: what is known of them; when these choose, a data set folder is read like any other.
    readers: by format, what reads a source of it alone in place of its own reader.
    Raises DataError when there is nothing to read, when formats are mixed, or when a file cannot
    be used; UsageError for an unknown format name or options that do not fit the source.
    """
    report = Report() if report is None else report
    if not options.chooses and is_prepared(path):
        dataset = prepared.read_prepared(path, report)
        files = tuple(prepared.annotation_files(path))
        result = ReadResult(dataset, report, "prepared", _PREPARED, files, path)
    else:
        source = Source(path, options)
        source.walk.report(report)
        choice = choose(source)
        dataset = _read(choice, source, report, readers)
        result = ReadResult(
            dataset, report, choice.name, choice.explanation, choice.files, source.root
        )
    _refuse_empty(result, path)
    return result


def explain(path: Path, *, options: ReadOptions = RECOGNISE) -> tuple[str, str]:
    """The name of the format that a source is in, and why this one and none of the others.

    Looks at the ends of files only; raises as `read_dataset` does where it cannot decide.
    """
    if not options.chooses and is_prepared(path):
        return "prepared", _PREPARED
    choice = choose(Source(path, options))
    return choice.name, choice.explanation


def _read(choice: Choice, source: Source, report: Report, readers: Mapping[str, Reader]) -> Dataset:
    for claim in choice.strays:
        report.lost["files-of-another-format"] += len(claim.sniff.files)
        text = f"describes none of the images here; left out ({claim.format.title})"
        for path in claim.sniff.files:
            report.add("source.stray-file", "info", text, path)
    unknown = _say_unrecognised(choice, source, report)
    if len(choice.claims) == 1:
        claim = choice.claims[0]
        dataset = readers.get(claim.format.name, claim.format.read)(claim.source, report)
    else:
        say_outside(source, choice.claims, report)
        parts = {
            claim.source.short(claim.source.root): claim.format.read(claim.source, report)
            for claim in choice.claims
        }
        dataset = unite(parts, report)
    return _without_images_of(unknown, dataset, report) if unknown else dataset


def _say_unrecognised(choice: Choice, source: Source, report: Report) -> set[str]:
    """Name the files that lie among annotations and are called like an image, but are none: empty,
    or cut off. Returns the names, with and without suffix, of the images that they were made for.
    """
    strays = {path for claim in choice.strays for path in claim.sniff.files}
    known = strays.union(choice.files)
    places = {(path.parent, path.suffix) for path in choice.files}
    suffixes = {path.suffix.lower() for path in choice.files} - IMAGE_SUFFIXES
    candidates = source.candidates(*sorted(suffixes)) if suffixes else []
    others = [p for p in candidates if p not in known and (p.parent, p.suffix) in places]
    if not others:
        return set()
    images = {name for p in source.images.images for name in (p.stem, p.name)}
    found = [path for path in others if path.stem in images]
    for path in found:
        report.lost["annotation-files"] += 1
        text = f"is called like an image, but holds no annotation that {choice.name} knows"
        report.add("annotation.unrecognised", "error", text, path)
    return {path.stem for path in found}


def _without_images_of(names: set[str], dataset: Dataset, report: Report) -> Dataset:
    """Leave out the images that would pass for backgrounds, since nobody knows what is on them."""
    kept = tuple(
        sample
        for sample in dataset.samples
        if sample.annotation is not None or not names & {sample.image.stem, sample.image.name}
    )
    lost = len(dataset.samples) - len(kept)
    if lost:
        report.lost["images"] += lost
        report.read["images"] -= lost
        report.read["images-without-objects"] -= lost
    return replace(dataset, samples=kept)


def _refuse_empty(result: ReadResult, path: Path) -> None:
    if len(result.dataset):
        return
    first = next(result.report.relative_to(result.root).of("error"), None)
    why = f"; the first problem is: {first}" if first else ""
    links = result.report.lost["links-out-of-the-source"]
    raise DataError(
        f"no image could be read{why}",
        path=path,
        hint=about_links(links)
        or "Name the folder that holds both the images and their annotations, or bring them"
        " together there.",
    )
