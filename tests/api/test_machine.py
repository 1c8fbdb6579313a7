"""The doctor: checks are pure, so each is shown the machine that it should complain about."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from dataclasses import replace
from importlib.metadata import Distribution, version
from pathlib import Path
from typing import Any

import pytest

from detect_tl.api.machine import DoctorResult, Snapshot, checks, diagnose, probes, snapshot
from detect_tl.api.machine.snapshot import Disk, Weights
from detect_tl.core.progress import Silent

GIB = 1024**3

FIT = Snapshot(
    python="3.11.7",
    platform="Linux",
    processor="a processor",
    cores=4,
    memory_total=16 * GIB,
    memory_available=12 * GIB,
    shared_memory=4 * GIB,
    packages=dict.fromkeys(snapshot.PACKAGES, "1.0"),
    cv2_owners={"opencv-python": True},
    probes={
        "torch": {
            "version": "2.15.0",
            "cuda_build": None,
            "gpus": [],
            "mps": False,
            "bfloat16_cpu": True,
            "bfloat16_gpu": False,
            "threads": 4,
        },
        "torchvision": {"version": "0.29.2", "nms": True},
        "cv2": {"version": "5.0.0", "gui": "QT5"},
        "av": {"version": "18.1.0", "h264_encoders": ["libx264"]},
        "onnxruntime": {"version": "1.31.1", "providers": ["CPUExecutionProvider"]},
    },
    display=True,
    disks=(Disk("runs", "/home/me", 100 * GIB, writable=True),),
    weights=Weights(None, "/cache", (), ""),
    plugin_errors=(),
)


def answering(name: str, **values: Any) -> Snapshot:
    """The fit machine, with one probe that answers otherwise."""
    answer = values if "error" in values else {**FIT.probes[name], **values}
    return replace(FIT, probes={**FIT.probes, name: answer})


def codes(machine: Snapshot, *severities: str) -> set[str]:
    return {f.code for f in diagnose(machine) if f.severity in (severities or ("error", "warning"))}


def test_a_fit_machine_has_nothing_to_complain_about() -> None:
    assert codes(FIT) == set()
    assert codes(FIT, "info") == {"device.cpu"}
    assert DoctorResult(FIT, tuple(diagnose(FIT))).errors == 0


NMS = "RuntimeError: operator torchvision::nms does not exist"


@pytest.mark.parametrize(
    ("machine", "code", "severity"),
    [
        (replace(FIT, packages={**FIT.packages, "onnx": None}), "package.missing", "error"),
        (answering("torch", error="crashed by signal 11"), "torch.import", "error"),
        (answering("cv2", error="ImportError: libGL.so.1"), "cv2.import", "error"),
        (answering("torchvision", error=NMS), "torchvision.ops", "error"),
        (answering("torchvision", nms=False), "torchvision.ops", "error"),
        (answering("torch", gpus=["H100"]), "device.cuda", "info"),
        (answering("torch", gpus=["H100"]), "onnxruntime.providers", "info"),
        (answering("torch", mps=True), "device.mps", "info"),
        (replace(FIT, cv2_owners={}), "cv2.missing", "error"),
        (replace(FIT, cv2_owners={"opencv-python": False}), "cv2.changed", "warning"),
        (
            replace(FIT, cv2_owners={"opencv-python": False, "opencv-python-headless": True}),
            "cv2.owner",
            "info",
        ),
        (answering("cv2", gui=""), "cv2.gui", "warning"),
        (replace(FIT, display=False), "display.none", "info"),
        (answering("av", h264_encoders=[]), "video.h264", "warning"),
        (replace(FIT, memory_available=GIB), "memory.low", "warning"),
        (replace(FIT, shared_memory=64 * 1024**2), "memory.shared", "warning"),
        (replace(FIT, disks=(Disk("runs", "/", GIB, True),)), "disk.low", "warning"),
        (replace(FIT, disks=(Disk("runs", "/", 1, True),)), "disk.low", "error"),
        (replace(FIT, disks=(Disk("runs", "/", 9 * GIB, False),)), "disk.read-only", "warning"),
        (replace(FIT, weights=Weights("/no", "/cache", (), "no")), "weights.folder", "error"),
        (replace(FIT, plugin_errors=("the plugin 'x' is broken",)), "plugin.import", "error"),
    ],
)
def test_each_fault_is_found(machine: Snapshot, code: str, severity: str) -> None:
    assert code in codes(machine, severity)
    assert code not in codes(FIT, severity)


def test_a_mismatched_pair_is_named_once() -> None:
    assert codes(answering("torchvision", error=NMS)) == {"torchvision.ops"}


def test_a_check_that_fails_does_not_hide_the_others() -> None:
    odd = replace(FIT, cv2_owners={}, probes={**FIT.probes, "torch": {}})
    found = codes(odd)
    assert {"doctor.check-failed", "cv2.missing"} <= found


def test_every_check_is_run() -> None:
    public = {
        name
        for name, value in vars(checks).items()
        if callable(value) and value.__module__ == checks.__name__ and not name.startswith("_")
    }
    listed = {check.__name__ for check in checks.CHECKS}
    assert listed == public - {"Limits", "diagnose"}


def dist(root: Path, name: str, record: str) -> Distribution:
    info = root / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(record)
    return Distribution.at(info)


def test_the_owner_of_cv2_is_told_by_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two packages claim one file; only one recorded what is on disk."""
    (tmp_path / "cv2").mkdir()
    library = tmp_path / "cv2" / "cv2.abi3.so"
    library.write_bytes(b"with windows")

    def line(content: bytes) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        return f"cv2/__init__.py,,\ncv2/cv2.abi3.so,sha256={digest},{len(content)}\n"

    installed = {
        "opencv-python": dist(tmp_path, "opencv-python", line(b"with windows")),
        "opencv-python-headless": dist(tmp_path, "opencv-python-headless", line(b"without")),
    }

    def find(name: str) -> Distribution:
        if name not in installed:
            raise snapshot.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(snapshot, "distribution", find)
    assert snapshot.cv2_owners() == {"opencv-python": True, "opencv-python-headless": False}
    library.write_bytes(b"without")
    assert snapshot.cv2_owners() == {"opencv-python": False, "opencv-python-headless": True}


def test_a_probe_that_crashes_or_hangs_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def running(code: str) -> None:
        plain = subprocess.run

        def run(command: list[str], **settings: Any) -> Any:
            return plain([*command[:-1], code], **settings)

        monkeypatch.setattr(probes.subprocess, "run", run)

    running("import os; os.abort()")
    assert "crashed by signal 6" in probes.ask("torch")["error"]
    monkeypatch.undo()
    running("raise ImportError('libGL.so.1: cannot open shared object file')")
    assert "libGL.so.1" in probes.ask("cv2")["error"]
    monkeypatch.undo()
    running("import time; time.sleep(60)")
    assert "no answer" in probes.ask("av", seconds=0.2)["error"]


@pytest.mark.slow
def test_this_machine_can_be_looked_at() -> None:
    seen = snapshot.take_snapshot(Silent())
    assert {name for name, answer in seen.probes.items() if "error" in answer} == set()
    assert "CPUExecutionProvider" in seen.probes["onnxruntime"]["providers"]
    assert seen.probes["torchvision"]["nms"]
    assert seen.packages["torch"] == version("torch")
    assert sum(seen.cv2_owners.values()) == 1
    assert 0 < seen.memory_available <= seen.memory_total
    assert not [f for f in diagnose(seen) if f.code == "doctor.check-failed"]
