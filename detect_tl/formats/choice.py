"""Choosing the format of a source among all that are on offer, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, format_names, load_format, load_formats
from detect_tl.formats.mixed import Claim, about_nothing_here, separate
from detect_tl.formats.source import Source


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
        hint=about_links(len(source.walk.left))
        or "Name the folder that holds both the images and their annotations; `detect-tl formats`"
        " lists what is understood.",
    )


def about_links(count: int) -> str:
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
