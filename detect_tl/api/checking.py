"""Looking for mistakes in annotations and their images, and what each kind of mistake leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from detect_tl.api.reading import Reading
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Finding, Report, Severity, by_kind
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.formats.detect import ReadResult
    from detect_tl.formats.options import ReadOptions


@dataclass(frozen=True, slots=True)
class CheckInfo:
    """One check.

    what: it looks for. consequence: in training or evaluation, if it stays.
    thresholds: name, value with unit, and reason of each number that it compares with.
    runs: whether it can be run; what it names is otherwise noticed while reading.
    """

    id: str
    severity: Severity
    what: str
    consequence: str
    thresholds: tuple[tuple[str, str, str], ...]
    runs: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "severity": self.severity,
            "what": self.what,
            "consequence": self.consequence,
            "thresholds": [
                {"name": name, "value": value, "reason": reason}
                for name, value, reason in self.thresholds
            ],
            "noticed_while": "checking" if self.runs else "reading",
        }


@dataclass(frozen=True, slots=True)
class CheckListResult:
    """Checks, by id."""

    checks: tuple[CheckInfo, ...]

    def as_json(self) -> dict[str, Any]:
        return {"checks": [each.as_json() for each in self.checks]}


@dataclass(frozen=True, slots=True)
class Group:
    """All findings of one id and severity. consequence: "" for what a single format notices."""

    id: str
    severity: Severity
    consequence: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was noticed in a data set.

    format, explanation: which format it is in, and why. classes: number of objects by name.
    consequences: by id, of what was found. strict: whether a warning counts as an error.
    page: the .html file that was written, if one was asked for.
    """

    data: Path
    format: str
    explanation: str
    images: int
    classes: dict[str, int]
    report: Report
    consequences: Mapping[str, str]
    strict: bool = False
    page: Path | None = None

    @property
    def errors(self) -> int:
        return sum(1 for _ in self.report.of("error"))

    @property
    def warnings(self) -> int:
        return sum(1 for _ in self.report.of("warning"))

    @property
    def failed(self) -> bool:
        """Whether there is an error, or in a strict check a warning."""
        return bool(self.errors or (self.strict and self.warnings))

    def groups(self) -> list[Group]:
        """The findings by id, the gravest first and then the most frequent."""
        return [
            Group(id_, severity, self.consequences.get(id_, ""), tuple(found))
            for (severity, id_), found in by_kind(self.report.findings).items()
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "data": str(self.data),
            "format": self.format,
            "explanation": self.explanation,
            "images": self.images,
            "objects_per_class": self.classes,
            "errors": self.errors,
            "warnings": self.warnings,
            "strict": self.strict,
            "failed": self.failed,
            "consequences": dict(self.consequences),
            "page": str(self.page) if self.page else None,
            "report": self.report.as_json(),
        }


def check(
    data: Path,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    imgsz: int | None = None,
    decode: bool = True,
    strict: bool = False,
    page: str | Path | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> CheckResult:
    """Read annotations and look for mistakes in them; nothing is changed.

    reading: what is known of `data`, see `Reading`.
    only, skip: ids of checks ("box.duplicate") and areas of them ("box"), see `check_list`.
    imgsz: side in pixels to which training will scale images, to tell what is tiny then.
    decode: False only looks at both ends of image files; images that look alike are not found.
    strict: whether warnings count as errors.
    page: an .html file to write, with plots, and a picture of what each finding is about.

    Raises DataError when the annotations cannot be read at all, UsageError for an unknown id.
    """
    from detect_tl.curate.checks import Limits, Selection, consequence_of
    from detect_tl.formats.options import ReadOptions

    target = None if page is None else _page_file(Path(page))
    selection = Selection(tuple(only), tuple(skip))
    limits = Limits() if imgsz is None else Limits(imgsz=imgsz)
    how = {"progress": progress, "decode": decode, "limits": limits, "selection": selection}
    read, found = _checked(Path(data), ReadOptions(**reading), how, whole=target is not None)
    noticed = [f for f in read.report.findings if selection.wants(f.code)]
    report = read.report
    report.findings = [*noticed, *found.findings]
    if target is not None:
        _write_page(target, Path(data), read)
    return CheckResult(
        Path(data),
        read.format,
        read.explanation,
        len(read.dataset),
        read.dataset.objects_per_class(),
        report,
        {code: words for code in report.by_code() if (words := consequence_of(code))},
        strict,
        target,
    )


def _checked(
    data: Path, options: ReadOptions, how: dict[str, Any], *, whole: bool
) -> tuple[ReadResult, Report]:
    """Read a data set and check it, here or where `spread` computes; the findings are the same.

    how: of `check_dataset`. whole: whether masks are asked for.
    """
    from detect_tl.core.parallel import is_elsewhere
    from detect_tl.curate.checks import check_dataset
    from detect_tl.formats.detect import read_dataset

    if is_elsewhere():
        from detect_tl.curate.checks.apart import check_apart

        return check_apart(data, options=options, whole=whole, **how)
    read = read_dataset(data, options=options)
    return read, check_dataset(read.dataset, reading=read, **how)


def _page_file(path: Path) -> Path:
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"the report is a page, and {path.name} is none by its name",
            hint=f"Name it {path.stem or 'report'}.html.",
        )
    return path


def _write_page(target: Path, data: Path, read: ReadResult) -> None:
    from detect_tl import __version__
    from detect_tl.curate.report import Page, write_report

    root = data if data.is_dir() else data.parent
    if any(sample.image.is_absolute() for sample in read.dataset.samples[:1]):
        root = root.resolve()
    said = Page(
        title=data.resolve().name,
        task=read.dataset.natural_task,
        format=read.format,
        explanation=read.explanation,
        split_reason="",
        version=__version__,
        report=read.report.relative_to(root),
        root=root,
        elsewhere="detect-tl check --json",
    )
    write_report(target, read.dataset, said)


def check_list(ids: Sequence[str] = ()) -> CheckListResult:
    """All checks, or those of these ids and areas ("box"); raises UsageError for an unknown one."""
    from detect_tl.curate.checks import CHECKS, Limits, find_checks

    return CheckListResult(
        tuple(
            CheckInfo(
                each.id,
                each.severity,
                each.what,
                each.consequence,
                tuple((name, *Limits.describe(name)) for name in each.limits),
                each.look is not None,
            )
            for each in (chain.from_iterable(map(find_checks, ids)) if ids else CHECKS)
        )
    )
