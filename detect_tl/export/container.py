"""The kinds of file that hold a model: ONNX, and OpenVINO's IR, which is a pair of files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.files import atomic_path
from detect_tl.export.half import Precision, to_half
from detect_tl.export.metadata import stamp
from detect_tl.runtime.backends import Backend, load_backend
from detect_tl.runtime.integers import IntegerPlan, count_in_integers

if TYPE_CHECKING:
    import onnx

Format = Literal["onnx", "openvino"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: Mapping[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}
_ENGINES = {".onnx": "onnxruntime", ".xml": "openvino"}

IR_METADATA = "detect_tl"
"""The section of an IR file's runtime information that holds the metadata, one text a key."""

_COUNTED = re.compile(r"[A-Z]\w*_\d+$")  # named by a counter of the process


def check_name(out: Path) -> None:
    """Raise UsageError when a name is not one for a model, MachineError without OpenVINO."""
    if out.suffix not in _ENGINES:
        raise UsageError(
            f"{out} is no name for an ONNX file",
            hint="End it in .onnx, or in .xml for OpenVINO.",
        )
    if out.is_dir():
        raise UsageError(f"{out} is a folder", hint=f"Name a file that ends in {out.suffix}.")
    if out.suffix == ".xml":
        _openvino()


def check_two_ways(out: Path) -> None:
    """Raise UsageError when a kind of file cannot hold floats and a plan for integers beside them,
    MachineError where nothing here could try that."""
    if out.suffix != ".onnx":
        raise UsageError(
            "an OpenVINO IR is either of floats or of integers",
            hint="Take --precision fp32 or int8, or --format onnx.",
        )
    _openvino()


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of a model that is called like this, the one to be opened first."""
    return (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)


def open_model(path: Path, precision: Precision = "fp32") -> Backend:
    """The model with the engine that its kind of file is made for, on the CPU."""
    engine = "openvino-int8" if precision == "fp32+int8" else _ENGINES[path.suffix]
    return load_backend(path, engine, device="cpu")


def write_model(
    graph: onnx.ModelProto,
    path: Path,
    precision: Precision,
    metadata: Mapping[str, str],
    plan: IntegerPlan | None = None,
) -> None:
    """Write a graph in the kind of file that the name asks for; the same graph, the same bytes.

    plan: how an IR is to count a float graph in integers.
    In fp16, ONNX calculates in half precision; an IR only keeps its weights so, and each machine
    calculates as it can.
    """
    if path.suffix == ".onnx":
        half = to_half(graph) if precision == "fp16" else graph
        stamp(half, metadata)
        path.write_bytes(half.SerializeToString(deterministic=True))
        return
    openvino = _openvino()
    onnx_file = path.with_name("graph.onnx")
    onnx_file.write_bytes(graph.SerializeToString(deterministic=True))
    model = openvino.convert_model(str(onnx_file))
    onnx_file.unlink()
    if plan is not None:
        count_in_integers(model, plan)
    for number, node in enumerate(model.get_ordered_ops()):
        if _COUNTED.match(node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
    for key, value in metadata.items():
        model.set_rt_info(value, [IR_METADATA, key])
    openvino.save_model(model, str(path), compress_to_fp16=precision == "fp16")


def place(written: Path, out: Path) -> tuple[Path, ...]:
    """Copy the files of a model to their names, all or none."""
    first, *others = zip(files_of(written), files_of(out), strict=True)
    with atomic_path(out) as scratch:
        shutil.copyfile(first[0], scratch)
        for source, target in others:  # there before the file that needs them
            with atomic_path(target) as beside:
                shutil.copyfile(source, beside)
    return files_of(out)


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MachineError(
            "OpenVINO is not installed, which writes its own files and tries fp32+int8",
            hint="Install it: pip install 'detect-tl[openvino]', or take --format onnx and another "
            "--precision.",
        ) from error
    return openvino
