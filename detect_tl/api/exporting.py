"""Exporting a model, and having one exported when it is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detect_tl.api.gate_data import gate_data
from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.export.model import ExportResult
    from detect_tl.training.folder import RunFolder


def export(
    model: str | Path,
    out: Path | None = None,
    *,
    format: Literal["onnx", "openvino"] | None = None,  # noqa: A002 - the option is called so
    imgsz: int | tuple[int, int] | None = None,
    batch: int = 1,
    dynamic: bool = True,
    opset: int | None = None,
    precision: Literal["fp32", "fp16", "int8", "fp32+int8"] = "fp32",
    nms: bool = False,
    data: Path | None = None,
    bundle: Path | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Write a model as ONNX or OpenVINO IR; it stands only if it answers as the checkpoint does.

    model: run folder, .pt or the name of weights. out: None writes best.onnx (best.xml) into the
    run, or NAME.onnx here. format: None goes by the name of `out`; ONNX without one.
    imgsz: side of the input, or (height, width), in pixels; None: what the model was trained with.
    dynamic: leave batch and input size free, so that pictures need not be padded to a square.
    nms: put non-maximum suppression into the graph.
    data: what the gates measure on and int8 is calibrated on: annotations in any format, or mere
    pictures; None: the validation images of the run, else the photos that come with Ultralytics.
    bundle: new folder to put the file into with all that is needed to run it without torch.
    What the gates measured on best.onnx stands in the run as export.json and in its report.

    Raises GateError when the answers differ or accuracy is lost, with nothing left behind;
    UsageError, DataError, WeightsError.
    """
    from detect_tl.core.files import refuse_existing
    from detect_tl.export.model import export_model

    show = progress or Silent()
    if bundle is not None:
        refuse_existing(Path(bundle))
    files = find_model(model, trust=trust, progress=progress)
    checkpoint = _checkpoint_of(files)
    target = _target(files, checkpoint, out, format)
    known = gate_data(files, data, show)
    if known.note:
        show.say(known.note)
    result = export_model(
        checkpoint,
        target,
        images=known.images,
        labelled=known.labelled,
        calibration=known.calibration,
        imgsz=imgsz or files.own_imgsz(trust=trust),
        batch=batch,
        dynamic=dynamic,
        opset=opset,
        precision=precision,
        nms=nms,
        metadata=_facts(files),
        trust=trust,
        progress=progress,
    )
    if bundle is not None:
        from detect_tl.export.bundle import write_bundle

        result = replace(result, bundle=write_bundle(result, Path(bundle)))
    if files.run is not None and target == files.run.onnx:
        _tell_run(files.run, result, show)
    return result


def _checkpoint_of(files: ModelFiles) -> Path:
    if files.checkpoint is None:
        raise UsageError(
            f"{files.name} is exported already",
            hint="Name a run folder, a .pt file or e.g. yolo11n.",
        )
    return files.checkpoint


def _target(files: ModelFiles, checkpoint: Path, out: Path | None, wanted: str | None) -> Path:
    """The file to write; raise UsageError when its name is of another format."""
    from detect_tl.export.container import FORMATS, SUFFIXES

    if wanted is not None and wanted not in FORMATS:
        raise UsageError(f"unknown format {wanted!r}", hint=did_you_mean(wanted, FORMATS))
    suffix = SUFFIXES["openvino" if wanted == "openvino" else "onnx"]
    if out is None:
        return _default_out(files, checkpoint).with_suffix(suffix)
    if wanted is not None and Path(out).suffix != suffix:
        raise UsageError(f"{out} is no name for {wanted}", hint=f"End it in {suffix}.")
    return Path(out)


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


def _facts(files: ModelFiles) -> dict[str, str]:
    """What the file is to say of the run that it comes from.

    run_sha256: of its settings, its data's checksum and its weights. thresholds: the confidence at
    which each class is at its best, where that was measured.
    """
    run = files.run
    if run is None:
        return {}
    from detect_tl.core.files import read_json, sha256_files

    parts = [run.path / "config.json", run.path / "dataset.json", run.best]
    facts = {
        "dataset_sha256": str(read_json(run.path / "dataset.json")["sha256"]),
        "run_sha256": sha256_files(parts, run.path),
    }
    if run.thresholds.is_file():
        facts["thresholds"] = json.dumps(read_json(run.thresholds), ensure_ascii=False)
    return facts
