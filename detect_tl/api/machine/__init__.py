"""Is this machine fit, and is the installation whole?

Everything is read once into a `Snapshot`; each check is a pure function of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from detect_tl.api.machine.checks import diagnose
from detect_tl.api.machine.snapshot import Snapshot, take_snapshot
from detect_tl.core.findings import Finding
from detect_tl.core.progress import Progress, Silent

__all__ = ["DoctorResult", "Snapshot", "diagnose", "doctor", "take_snapshot"]


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """What was seen, and what follows from it."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return sum(finding.severity == "warning" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": [finding.as_json() for finding in self.findings],
            "machine": asdict(self.snapshot),
        }


def doctor(progress: Progress | None = None) -> DoctorResult:
    """Look at the machine and the installation; nothing is changed."""
    snapshot = take_snapshot(progress or Silent())
    return DoctorResult(snapshot, tuple(diagnose(snapshot)))
