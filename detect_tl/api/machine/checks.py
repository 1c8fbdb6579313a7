"""Checks of a snapshot: pure functions that yield findings and name the consequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from detect_tl.api.machine.snapshot import Snapshot
from detect_tl.core.findings import Finding, Severity

GIB = 1024**3

_OPTIONAL = frozenset({"opencv-python", "opencv-python-headless"})  # `cv2_is_whole` judges these
_NEEDED_FOR = {
    "torch": "nothing can be trained",
    "torchvision": "nothing can be trained",
    "cv2": "no image can be read",
    "av": "no video can be read or written",
    "onnxruntime": "no exported model can be run",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds, in bytes."""

    disk_error: int = GIB // 2
    disk_warning: int = 5 * GIB
    memory_warning: int = 3 * GIB
    shared_memory_warning: int = GIB // 2


LIMITS = Limits()

Check = Callable[[Snapshot], Iterator[Finding]]


def diagnose(snapshot: Snapshot) -> Iterator[Finding]:
    """Run all checks; one that fails becomes a finding itself."""
    for check in CHECKS:
        try:
            yield from check(snapshot)
        except Exception as error:  # noqa: BLE001  # one odd machine must not hide the other findings
            yield Finding("doctor.check-failed", "warning", f"{check.__name__}: {error!r}")


def packages_are_there(snapshot: Snapshot) -> Iterator[Finding]:
    for name, version in snapshot.packages.items():
        if version is None and name not in _OPTIONAL:
            text = f"{name} is not installed; install detect-tl again with pip"
            yield Finding("package.missing", "error", text)


def libraries_load(snapshot: Snapshot) -> Iterator[Finding]:
    for name, consequence in _NEEDED_FOR.items():
        problem = snapshot.probes[name].get("error")
        if problem and not (name == "torchvision" and _is_mismatch(problem)):
            yield Finding(
                f"{name}.import", "error", f"{name} cannot be used ({problem}): {consequence}"
            )
    for problem in snapshot.plugin_errors:
        yield Finding("plugin.import", "error", problem)


def torch_and_torchvision_match(snapshot: Snapshot) -> Iterator[Finding]:
    answer = snapshot.probes["torchvision"]
    if _is_mismatch(answer.get("error", "")) or answer.get("nms") is False:
        pair = (
            f"torch {snapshot.packages['torch']} and torchvision {snapshot.packages['torchvision']}"
        )
        yield Finding(
            "torchvision.ops",
            "error",
            f"{pair} do not belong together: training and evaluation stop at the first "
            "non-maximum suppression; install a matching pair, as constraints.txt has it",
        )


def _is_mismatch(problem: str) -> bool:
    return "torchvision::nms" in problem or "undefined symbol" in problem


def device(snapshot: Snapshot) -> Iterator[Finding]:
    torch = snapshot.probes["torch"]
    if "error" in torch:
        return
    if torch["gpus"]:
        listed = ", ".join(torch["gpus"])
        yield Finding("device.cuda", "info", f"training uses the GPU: {listed}")
    elif torch["mps"]:
        yield Finding("device.mps", "info", "training can use the Apple GPU: --device mps")
    else:
        fast = "with" if torch["bfloat16_cpu"] else "without"
        text = f"no GPU: training uses {snapshot.cores} CPU cores, {fast} bfloat16 instructions"
        yield Finding("device.cpu", "info", text)


def cv2_is_whole(snapshot: Snapshot) -> Iterator[Finding]:
    owners = snapshot.cv2_owners
    winners = [name for name, owns in owners.items() if owns]
    if not owners:
        yield Finding("cv2.missing", "error", "no package brings cv2; install opencv-python")
    elif not winners:
        listed = " and ".join(owners)
        text = f"the cv2 files on disk are not those of {listed}: reinstall one of them"
        yield Finding("cv2.changed", "warning", text)
    elif len(owners) > 1:
        text = f"{' and '.join(owners)} are installed; the cv2 on disk is that of {winners[0]}"
        yield Finding("cv2.owner", "info", text)


def windows_can_open(snapshot: Snapshot) -> Iterator[Finding]:
    cv2 = snapshot.probes["cv2"]
    if "error" not in cv2 and not cv2["gui"]:
        yield Finding(
            "cv2.gui",
            "warning",
            "this cv2 has no windows, so `predict --show` cannot work; "
            "pip install --force-reinstall --no-deps opencv-python",
        )
    if not snapshot.display:
        text = "no display: `predict --show` cannot open a window; results still go to files"
        yield Finding("display.none", "info", text)


def videos_can_be_written(snapshot: Snapshot) -> Iterator[Finding]:
    av = snapshot.probes["av"]
    if "error" not in av and not av["h264_encoders"]:
        text = "PyAV has no H.264 encoder: annotated videos will not play in a browser"
        yield Finding("video.h264", "warning", text)


def memory_suffices(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.memory_available < LIMITS.memory_warning:
        text = f"{_gib(snapshot.memory_available)} of memory are free: train with a small --batch"
        yield Finding("memory.low", "warning", text)
    shared = snapshot.shared_memory
    if shared is not None and shared < LIMITS.shared_memory_warning:
        text = f"shared memory has {_gib(shared)} free: loader processes may crash; use --workers 0"
        yield Finding("memory.shared", "warning", text)


def disks_have_room(snapshot: Snapshot) -> Iterator[Finding]:
    for disk in snapshot.disks:
        where = f"{disk.path} ({disk.purpose})"
        if not disk.writable:
            yield Finding("disk.read-only", "warning", f"{where} cannot be written to")
        if disk.free < LIMITS.disk_warning:
            severity: Severity = "error" if disk.free < LIMITS.disk_error else "warning"
            yield Finding("disk.low", severity, f"{where} has {_gib(disk.free)} free")


def weights_are_found(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.weights.problem:
        yield Finding("weights.folder", "error", snapshot.weights.problem)


def providers(snapshot: Snapshot) -> Iterator[Finding]:
    engine, torch = snapshot.probes["onnxruntime"], snapshot.probes["torch"]
    if "error" in engine:
        return
    if torch.get("gpus") and "CUDAExecutionProvider" not in engine["providers"]:
        yield Finding(
            "onnxruntime.providers",
            "info",
            "ONNX Runtime has no CUDA provider: exported models run on the CPU; "
            "the package onnxruntime-gpu has it",
        )


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"


CHECKS: tuple[Check, ...] = (
    packages_are_there,
    libraries_load,
    torch_and_torchvision_match,
    device,
    cv2_is_whole,
    windows_can_open,
    videos_can_be_written,
    memory_suffices,
    disks_have_room,
    weights_are_found,
    providers,
)
