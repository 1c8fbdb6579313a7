"""`detect-tl doctor`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from detect_tl import api
from detect_tl.api.machine import DoctorResult, Snapshot
from detect_tl.cli.options import verb
from detect_tl.cli.output import Output, Piece, Table, pass_output

_GIB = 1024**3


@verb(
    "doctor",
    """
    detect-tl doctor
    detect-tl doctor --json > machine.json
    """,
)
@pass_output
@click.pass_context
def command(ctx: click.Context, console: Output) -> None:
    """Check this machine and its installation; nothing is changed.

    Looks at versions, device, cv2, codecs, compiled operators, display, memory, disk and weights.
    Exit code 1 when something would fail, 0 otherwise.
    """
    result = api.doctor(console.progress)
    console.show(result, _describe)
    ctx.exit(1 if result.errors else 0)


def _describe(result: DoctorResult) -> Iterator[Piece]:
    yield Table(("what", "found"), list(_facts(result.snapshot)))
    for severity in ("error", "warning", "info"):
        for finding in result.findings:
            if finding.severity == severity:
                yield f"{severity}: {finding}"
    yield f"{result.errors} errors, {result.warnings} warnings"


def _facts(seen: Snapshot) -> Iterator[tuple[str, str]]:
    yield "system", f"{seen.platform}, Python {seen.python}"
    yield "processor", f"{seen.processor}, {seen.cores} cores"
    yield "memory", f"{seen.memory_available / _GIB:.1f} of {seen.memory_total / _GIB:.1f} GiB free"
    for name, version in seen.packages.items():
        yield name, version or "not installed"
    yield "CUDA devices", ", ".join(seen.probes["torch"].get("gpus", [])) or "none"
    yield "cv2 comes from", ", ".join(n for n, owns in seen.cv2_owners.items() if owns) or "unknown"
    yield "cv2 windows", seen.probes["cv2"].get("gui") or "none"
    yield "display", "yes" if seen.display else "no"
    yield "H.264 encoders", ", ".join(seen.probes["av"].get("h264_encoders", [])) or "none"
    yield "ONNX Runtime", ", ".join(seen.probes["onnxruntime"].get("providers", [])) or "none"
    for disk in seen.disks:
        yield f"disk for {disk.purpose}", f"{disk.free / _GIB:.1f} GiB free at {disk.path}"
    yield "weights", ", ".join(seen.weights.files) or f"none yet; fetched into {seen.weights.cache}"
