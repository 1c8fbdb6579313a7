"""Findings: what was noticed, where, and how much of it; nothing is dropped in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from detect_tl.core.geometry import Box  # which loads numpy; a command's help must not

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The gravest first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed. `code` is dotted, area first: "voc.bad-number", "box.zero-area".

    path, line: the file that says so, and where in it.
    image, box: the picture that shows it, and the place in it (upright pixels); for report pages.
    """

    code: str
    severity: Severity
    message: str
    path: Path | None = None
    line: int | None = None
    image: Path | None = None
    box: Box | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}: " if self.path and self.line else f"{self.path}: "
        return f"{where if self.path else ''}{self.message} [{self.code}]"

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "path": str(self.path) if self.path else None,
            "line": self.line,
            "image": str(self.image) if self.image else None,
            "box": None if self.box is None else _plain(self.box),
        }


@dataclass(slots=True)
class Report:
    """What a step read, changed and lost, with the findings behind the numbers.

    Readers and writers are handed one and add to it; `read`, `changed` and `lost` count by kind,
    for example `lost["holes"]`.
    """

    findings: list[Finding] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        code: str,
        severity: Severity,
        message: str,
        path: Path | None = None,
        line: int | None = None,
        *,
        image: Path | None = None,
        box: Box | None = None,
    ) -> None:
        self.findings.append(Finding(code, severity, message, path, line, image, box))

    def merge(self, other: Report) -> None:
        """Take over the findings and the counts of another step."""
        self.findings += other.findings
        self.read += other.read
        self.changed += other.changed
        self.lost += other.lost

    def relative_to(self, root: Path) -> Report:
        """The same report with paths below `root` written as seen from there."""

        def short(path: Path | None) -> Path | None:
            return path.relative_to(root) if path and path.is_relative_to(root) else path

        findings = [replace(f, path=short(f.path), image=short(f.image)) for f in self.findings]
        return Report(findings, self.read, self.changed, self.lost)

    def extend(self, findings: Iterable[Finding]) -> None:
        self.findings.extend(findings)

    def of(self, severity: Severity) -> Iterator[Finding]:
        return (f for f in self.findings if f.severity == severity)

    def count(self, code: str) -> int:
        return sum(f.code == code for f in self.findings)

    def by_code(self) -> dict[str, int]:
        """Number of findings by code, most frequent first, ties by name."""
        counts = Counter(f.code for f in self.findings)
        return dict(sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])))

    def as_json(self) -> dict[str, Any]:
        return {
            "read": dict(sorted(self.read.items())),
            "changed": dict(sorted(self.changed.items())),
            "lost": dict(sorted(self.lost.items())),
            "findings_by_code": self.by_code(),
            "findings": [f.as_json() for f in self.findings],
        }


def by_kind(findings: Iterable[Finding]) -> dict[tuple[Severity, str], list[Finding]]:
    """Findings by severity and code, the gravest first and then the most frequent."""
    found: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.severity, finding.code), []).append(finding)
    order = sorted(found, key=lambda key: (SEVERITIES.index(key[0]), -len(found[key]), key[1]))
    return {key: found[key] for key in order}


def _plain(box: Box) -> list[float | None]:
    """The numbers of a box, None for those that JSON cannot hold (infinity, not a number)."""
    return [float(value) if isfinite(value) else None for value in box]
