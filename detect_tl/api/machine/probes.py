"""What only an import can tell, each asked in a process of its own.

A broken native library then costs one answer, not the program, and looking at torch loads it
nowhere else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

_SECONDS = 120.0


def ask(name: str, seconds: float = _SECONDS) -> dict[str, Any]:
    """Run one probe; {"error": …} when it fails, crashes or hangs."""
    code = f"from detect_tl.api.machine import probes; probes.answer({name!r})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer after {seconds:.0f} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
    if done.returncode < 0:
        return {"error": f"crashed by signal {-done.returncode} when it was imported"}
    said = done.stderr.strip().splitlines()
    return {"error": said[-1] if said else f"ended with exit code {done.returncode}"}


def torch() -> dict[str, Any]:
    """Version, devices and bfloat16 of torch."""
    import torch as library

    cpu = library.cpu
    native = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    cuda = library.cuda.is_available()
    return {
        "version": library.__version__,
        "cuda_build": library.version.cuda,
        "gpus": [library.cuda.get_device_name(k) for k in range(library.cuda.device_count())],
        "mps": library.backends.mps.is_available(),
        "bfloat16_cpu": any(getattr(cpu, name, lambda: False)() for name in native),
        "bfloat16_gpu": cuda and library.cuda.is_bf16_supported(including_emulation=False),
        "threads": library.get_num_threads(),
    }


def torchvision() -> dict[str, Any]:
    """Run one compiled operator: it exists only beside the torch that it was built for."""
    import torch as library
    import torchvision as vision

    boxes = library.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0]])
    kept = vision.ops.nms(boxes, library.tensor([0.9, 0.8]), 0.5).tolist()
    return {"version": vision.__version__, "nms": kept == [0]}


def cv2() -> dict[str, Any]:
    """Version of OpenCV, and the toolkit of its windows; "" without one."""
    import cv2 as library

    lines = library.getBuildInformation().splitlines()
    gui = next((line.partition(":")[2].strip() for line in lines if "GUI:" in line), "")
    return {"version": library.__version__, "gui": "" if gui.upper() == "NONE" else gui}


def av() -> dict[str, Any]:
    """H.264 encoders of PyAV that can be opened here."""
    import av as library

    found = []
    for name in ("libx264", "libopenh264", "h264_videotoolbox", "h264_nvenc"):
        try:
            library.codec.Codec(name, "w")
        except ValueError:  # PyAV's error for an unknown codec is one
            continue
        found.append(name)
    return {"version": library.__version__, "h264_encoders": found}


def onnxruntime() -> dict[str, Any]:
    """Version and execution providers of ONNX Runtime."""
    import onnxruntime as library

    return {"version": library.__version__, "providers": library.get_available_providers()}


PROBES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "torch": torch,
    "torchvision": torchvision,
    "cv2": cv2,
    "av": av,
    "onnxruntime": onnxruntime,
}


def answer(name: str) -> None:
    """Run a probe in this process, and print its answer as the last line."""
    sys.stdout.write("\n" + json.dumps(PROBES[name]()) + "\n")
