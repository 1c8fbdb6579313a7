"""Exporting a model, and having one exported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.export.onnx import ExportResult
    from detect_tl.training.folder import RunFolder


def export(
    model: str | Path,
    out: Path | None = None,
    *,
    imgsz: int | tuple[int, int] | None = None,
    batch: int = 1,
    dynamic: bool = True,
    opset: int | None = None,
    precision: Literal["fp32", "fp16"] = "fp32",
    data: Path | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Write a model as ONNX; the file stands only if it answers as the checkpoint does.

    model: run folder, .pt or the name of weights. out: None writes best.onnx into the run, or
    NAME.onnx here. imgsz: side of the input, or (height, width), in pixels; None: what the model
    was trained with. dynamic: leave batch and input size free, so that pictures need not be padded
    to a square. data: folder of pictures for the parity gate; None: the validation images of
    the run, else the photos that come with Ultralytics. What the gate measured on best.onnx stands
    in the run as export.json and in its report.

    Raises GateError when the answers differ, with nothing left behind; UsageError, WeightsError.
    """
    from detect_tl.export.onnx import export_onnx

    files = find_model(model, trust=trust, progress=progress)
    if files.checkpoint is None:
        raise UsageError(
            f"{model} is exported already", hint="Name a run folder, a .pt file or e.g. yolo11n."
        )
    target = Path(out) if out is not None else _default_out(files, files.checkpoint)
    result = export_onnx(
        files.checkpoint,
        target,
        images=_gate_pictures(files, data),
        imgsz=imgsz or files.own_imgsz(trust=trust),
        batch=batch,
        dynamic=dynamic,
        opset=opset,
        precision=precision,
        metadata=_facts(files),
        trust=trust,
        progress=progress,
    )
    if files.run is not None and target == files.run.onnx:
        _tell_run(files.run, result, progress or Silent())
    return result


def _tell_run(run: RunFolder, result: ExportResult, progress: Progress) -> None:
    """Keep what the gate measured in the run, and show it in its report."""
    from detect_tl.api.evaluation import pictures_of
    from detect_tl.api.pages import PICTURES, REPORT, write_pages
    from detect_tl.core.files import write_json

    write_json(run.export, result.as_json())
    if (run.path / REPORT).is_file() and run.dataset().is_dir():
        write_pages(run, pictures=pictures_of(run, PICTURES, progress))


def exported(
    files: ModelFiles,
    imgsz: tuple[int, int] | None = None,
    *,
    trust: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The ONNX file to run for a model, written now if there is none.

    imgsz: (height, width) that it is to be run at; None: the model's own. A run keeps the file as
    best.onnx; that of any other checkpoint goes to the user's cache, under its checksum, as does
    that of a run whose best.onnx takes another size only.
    """
    as_it_is = files.checkpoint is None or imgsz is None
    if files.onnx is not None and (as_it_is or _takes_any_size(files.onnx)):
        return files.onnx
    assert files.checkpoint is not None, "a model has one file or the other"
    if files.run is not None and files.onnx is None:
        target = files.run.onnx
    else:
        target = _cached_name(files.checkpoint)
        if target.is_file():
            return target
    show = progress or Silent()
    show.say(f"exporting {files.checkpoint} to {target}, to detect without torch")
    return export(files.name, target, trust=trust, progress=progress).path


def _takes_any_size(path: Path) -> bool:
    from contextlib import closing

    from detect_tl.runtime.backends import load_backend

    with closing(load_backend(path, device="cpu")) as backend:
        return backend.spec.dynamic


def _default_out(files: ModelFiles, checkpoint: Path) -> Path:
    return files.run.onnx if files.run is not None else Path(f"{checkpoint.stem}.onnx")


def _cached_name(checkpoint: Path) -> Path:
    from detect_tl.core.files import sha256_file
    from detect_tl.transfer.fetch import cache_folder

    name = f"{checkpoint.stem}-{sha256_file(checkpoint)[:16]}.onnx"
    return cache_folder().parent / "onnx" / name


def _gate_pictures(files: ModelFiles, data: Path | None) -> list[Path]:
    from detect_tl.core.files import find_images
    from detect_tl.export.gate_images import packaged_photos

    if data is not None:
        found = find_images(Path(data))
        if not found:
            raise UsageError(f"there are no images in {data}", hint="Name a folder of pictures.")
        return found
    own = find_images(files.run.dataset() / "images" / "val") if files.run is not None else []
    return own or packaged_photos()


def _facts(files: ModelFiles) -> dict[str, str]:
    """What the file is to say of the run that it comes from."""
    if files.run is None:
        return {}
    from detect_tl.core.files import read_json

    return {"dataset_sha256": str(read_json(files.run.path / "dataset.json")["sha256"])}
