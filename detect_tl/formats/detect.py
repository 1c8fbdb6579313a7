"""Reading whatever a folder holds: pick the format, and say why it was picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report
from detect_tl.core.words import counted
from detect_tl.formats import prepared
from detect_tl.formats.base import Format, format_names, load_format, load_formats
from detect_tl.formats.mixed import Claim, about_nothing_here, say_outside, separate, unite
from detect_tl.formats.options import RECOGNISE, ReadOptions
from detect_tl.formats.prepared import is_prepared
from detect_tl.formats.source import Source

__all__ = ["Choice", "ReadResult", "choose", "explain", "is_prepared", "read_dataset"]

_PREPARED = f"{prepared.NAME}: it has {prepared.PROVENANCE} and annotations/"


@dataclass(frozen=True, slots=True)
class Choice:
    """How a source is read, and the reasons for it.

    claims: the format of the source, or that of each of its folders where they differ.
    rejected: the reason against every other format, by title.
    strays: annotations of other formats that describe none of the images.
    asked: whether the user named the format.
    """

    claims: tuple[Claim, ...]
    rejected: Mapping[str, str] = field(default_factory=dict)
    strays: tuple[Claim, ...] = ()
    asked: bool = False

    @property
    def name(self) -> str:
        """Name of the format, several with "+" between them."""
        return "+".join(dict.fromkeys(claim.format.name for claim in self.claims))

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files."""
        return tuple(path for claim in self.claims for path in claim.sniff.files)

    @property
    def explanation(self) -> str:
        """One line for the choice and one for each reason against others."""
        lines = [self._reason(claim) for claim in self.claims]
        lines += [
            f"not {claim.format.title}: {claim.sniff.reason}, but none of the images here is in it"
            for claim in self.strays
        ]
        lines += [f"not {titles}: {reason}" for titles, reason in _grouped(self.rejected)]
        return ";\n".join(lines)

    def _reason(self, claim: Claim) -> str:
        where = f"{claim.source.short(claim.source.root)}: " if len(self.claims) > 1 else ""
        asked = ", as asked for" if self.asked else ""
        return f"{where}{claim.format.title}{asked}: {claim.sniff.reason}"


def _grouped(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """Titles of formats that looked at the same files, with these.

    "3 .json files, none with "shapes"" is a reason about 3 .json files.
    """
    titles: dict[str, list[str]] = {}
    for title, reason in reasons.items():
        about, none, missed = reason.partition(", none ")
        titles.setdefault(about, []).append(f"{title} (none {missed})" if none else title)
    return [(", ".join(several), about) for about, several in titles.items()]


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
    path: Path, *, options: ReadOptions = RECOGNISE, report: Report | None = None
) -> ReadResult:
    """Read annotations in any format, or a data set folder that `convert` wrote.

    options: what is known of them; when these choose, a data set folder is read like any other.
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
        dataset = _read(choice, source, report)
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


def _read(choice: Choice, source: Source, report: Report) -> Dataset:
    for claim in choice.strays:
        report.lost["files-of-another-format"] += len(claim.sniff.files)
        text = f"describes none of the images here; left out ({claim.format.title})"
        for path in claim.sniff.files:
            report.add("source.stray-file", "info", text, path)
    unknown = _say_unrecognised(choice, source, report)
    if len(choice.claims) == 1:
        dataset = choice.claims[0].format.read(choice.claims[0].source, report)
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


def choose(source: Source) -> Choice:
    """Decide which format a source is in, among those that understand the options it came with.

    Where several formats are recognised, folders of one format each, with images of their own,
    are read together, and annotations that describe none of the images are left out.

    Raises DataError when none fits, or when several describe the same images; UsageError when
    the one that was asked for does not understand an option.
    """
    if source.options.from_format is not None:
        return _asked(source, load_format(source.options.from_format))
    special = source.options.special
    offered, broken = _offered()
    able = [candidate for candidate in offered if special <= candidate.options]
    if not able:
        raise UsageError(f"no format on offer understands {_flags(special)}")
    sniffed = [Claim(candidate, source, candidate.sniff(source)) for candidate in able]
    claims = [claim for claim in sniffed if claim.sniff.matches]
    rejected = {c.format.title: c.sniff.reason for c in sniffed if not c.sniff.matches} | broken
    if not claims:
        raise _nothing(source, rejected)
    if len(claims) == 1:
        return Choice(tuple(claims), rejected)
    parts = separate(source, claims)
    if parts:
        return Choice(tuple(parts), rejected)
    strays = [claim for claim in claims if about_nothing_here(claim)]
    rivals = [claim for claim in claims if claim not in strays]
    parts = separate(source, rivals) if len(rivals) > 1 else rivals
    if not parts:
        raise _mixed(source, rivals or claims)
    return Choice(tuple(parts), rejected, tuple(strays))


def _offered() -> tuple[list[Format], dict[str, str]]:
    """All formats, and the reason for each that cannot be loaded: one must not stop the others."""
    formats: list[Format] = []
    broken: dict[str, str] = {}
    for name in format_names():
        try:
            formats.append(load_format(name))
        except MachineError as error:
            broken[name] = error.message
    return formats, broken


def _asked(source: Source, asked: Format) -> Choice:
    unknown = source.options.special - asked.options
    if unknown:
        able = [f.name for f in load_formats() if unknown <= f.options]
        raise UsageError(
            f"{asked.title} does not understand {_flags(unknown)}",
            hint=f"These do: {', '.join(able)}" if able else "",
        )
    found = asked.sniff(source)
    if not found.matches:
        raise DataError(
            f"no {asked.title} annotations: {found.reason}",
            path=source.path,
            hint="Leave out --from to have the format recognised.",
        )
    return Choice((Claim(asked, source, found),), asked=True)


def _flags(options: frozenset[str]) -> str:
    return " and ".join(f"--{name}" for name in sorted(options))


def _nothing(source: Source, rejected: Mapping[str, str]) -> DataError:
    """Say why none fits; what is said of files that are not there is left out."""
    looked = [
        f"{about} (not {titles})" if about.startswith("no ") else f"{about}, but not {titles}"
        for titles, about in _grouped(rejected)
        if not about.startswith("no ") or " among " in about
    ]
    images = counted(len(source.images.images), "image")
    beside = "" if source.path.is_file() else f" beside {images}"
    nothing = "no file here could hold any" if source.files else "the folder is empty"
    return DataError(
        f"no annotations found{beside}: {'; '.join(looked) or nothing}",
        path=source.path,
        hint=_about_links(len(source.walk.left))
        or "Name the folder that holds both the images and their annotations; `detect-tl formats`"
        " lists what is understood.",
    )


def _about_links(count: int) -> str:
    """What to do about links that were not followed; "" when there are none."""
    if not count:
        return ""
    return f"Links that lead out of the folder: {count}. --follow-links reads what is behind them."


def _mixed(source: Source, claims: Sequence[Claim]) -> DataError:
    listed = "; ".join(
        f"{c.format.title}: {c.sniff.reason}, such as {source.short(c.sniff.files[0])}"
        for c in claims
    )
    names = " or ".join(claim.format.name for claim in claims)
    return DataError(
        f"{len(claims)} annotation formats are mixed ({listed})",
        path=source.path,
        hint=f"Say which one to read (--from {names}), choose files by --annotations, or name a"
        " sub-folder.",
    )


def _refuse_empty(result: ReadResult, path: Path) -> None:
    if len(result.dataset):
        return
    first = next(result.report.relative_to(result.root).of("error"), None)
    why = f"; the first problem is: {first}" if first else ""
    links = result.report.lost["links-out-of-the-source"]
    raise DataError(
        f"no image could be read{why}",
        path=path,
        hint=_about_links(links)
        or "Name the folder that holds both the images and their annotations, or bring them"
        " together there.",
    )
