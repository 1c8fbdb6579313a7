"""A folder that runs an exported model on a machine without torch, and without this package."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib.metadata import EntryPoint, distribution
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from detect_tl import __version__
from detect_tl.core.files import atomic_folder, encode_json
from detect_tl.export.imports import PACKAGE, Needs, find_needs

if TYPE_CHECKING:
    from detect_tl.export.model import ExportResult

_BUNDLED = PACKAGE / "export" / "bundled"
_DISTRIBUTION = "detect-tl"

# what is installed for a module that is called otherwise; the headless OpenCV does without the
# libraries of a desktop
_INSTALLED = {"cv2": "opencv-python", "PIL": "pillow", "yaml": "pyyaml"}
_INSTEAD = {"opencv-python": "opencv-python-headless"}
_ENGINES = {".onnx": "onnxruntime", ".xml": "openvino"}


def write_bundle(result: ExportResult, out: Path) -> Path:
    """Write the folder, whole or not at all; return it.

    Raises UsageError when `out` is there and not empty.
    """
    plugins = _plugins()
    needs = find_needs(_BUNDLED / "detect.py", [point.module for point in plugins])
    with atomic_folder(out) as folder:
        for path in result.files:
            shutil.copyfile(path, folder / f"model{path.suffix}")
        for name in ("detect.py", "Dockerfile"):
            shutil.copyfile(_BUNDLED / name, folder / name)
        for name, text in _texts(result, needs).items():
            (folder / name).write_text(text, "utf-8")
        (folder / "metadata.json").write_bytes(encode_json(dict(result.metadata)))
        for module in needs.modules:
            copy = folder / module.relative_to(PACKAGE.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, copy)
        _register(folder, plugins)
    return out


def _texts(result: ExportResult, needs: Needs) -> dict[str, str]:
    texts = {
        "labels.txt": "".join(f"{name}\n" for name in result.spec.names),
        "requirements.txt": _requirements(needs, _engines(result)),
        "README.md": _readme(result),
    }
    thresholds = result.metadata.get("detect_tl.thresholds")
    return texts if thresholds is None else {**texts, "thresholds.json": f"{thresholds}\n"}


def _plugins() -> list[EntryPoint]:
    """What this package offers through its own door for running a model."""
    points = distribution(_DISTRIBUTION).entry_points
    return [point for point in points if point.module.startswith("detect_tl.runtime.")]


def _register(folder: Path, plugins: Sequence[EntryPoint]) -> None:
    """Let Python find the plugins in the folder, as if the package was installed there."""
    info = folder / f"detect_tl-{__version__}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.4\nName: {_DISTRIBUTION}\nVersion: {__version__}\n"
    (info / "METADATA").write_text(f"{head}License-Expression: AGPL-3.0-only\n", "utf-8")
    groups: dict[str, list[str]] = {}
    for point in plugins:
        groups.setdefault(point.group, []).append(f"{point.name} = {point.value}")
    sections = [f"[{group}]\n" + "\n".join(lines) for group, lines in groups.items()]
    (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n", "utf-8")


def _engines(result: ExportResult) -> set[str]:
    """What runs the file: the engine of its kind, and the one that can make integers of floats."""
    both = ["openvino"] if result.precision == "fp32+int8" else []
    return {_ENGINES[result.path.suffix], *both}


def _requirements(needs: Needs, engines: set[str]) -> str:
    """The least versions that this package asks for; of the engines, those for the file."""
    asked = _least_versions()
    unused = set(_ENGINES.values()) - engines
    names = [_INSTALLED.get(name, name) for name in needs.others if name not in unused]
    lines = [f"{_INSTEAD.get(name, name)}{asked[name]}" for name in names if name in asked]
    return "".join(f"{line}\n" for line in sorted(lines))


def _least_versions() -> dict[str, str]:
    """What stands behind the names of this package's requirements, such as ">=1.26"."""
    found: dict[str, str] = {}
    for text in distribution(_DISTRIBUTION).requires or ():
        parts = re.match(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)", text)
        if parts is not None:
            found.setdefault(parts[1].lower(), parts[2].strip())
    return found


def _readme(result: ExportResult) -> str:
    spec, accuracy = result.spec, result.accuracy
    measured = "Its accuracy was not measured."
    if accuracy is not None and accuracy.basis == "labels":
        measured = (
            f"Its mAP50-95 on {accuracy.split} is {accuracy.map50_95[1]:.4f}, measured when it was "
            f"exported; that of the checkpoint is {accuracy.map50_95[0]:.4f}."
        )
        if result.as_int8 is not None:
            measured += f" In int8 on OpenVINO it is {result.as_int8.map50_95[1]:.4f}."
    size = f"{spec.imgsz[0]}x{spec.imgsz[1]}"
    template = Template((_BUNDLED / "README.md").read_text("utf-8"))
    return template.substitute(
        model=result.path.stem,
        count=spec.class_count,
        version=__version__,
        files=", ".join(f"model{path.suffix}" for path in result.files),
        precision=result.precision,
        shape=f"pictures of any size, best {size}" if spec.dynamic else f"input {size}",
        measured=measured,
    )
