"""What a MODEL is: a run folder, a checkpoint, an exported file, or the name of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.training.folder import RunFolder

DEFAULT_IMGSZ = 640


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files behind a MODEL; one of `checkpoint` and `onnx` is there, or both.

    run: the run folder that the model belongs to.
    """

    name: str
    checkpoint: Path | None
    onnx: Path | None
    run: RunFolder | None

    def data(self, given: Path | None, *, hint: str) -> Path:
        """The data to measure the model on: what was given, else what its run was trained on.

        Raises UsageError, with the hint, for a model without a run and nothing given.
        """
        if given is not None:
            return Path(given)
        if self.run is None:
            raise UsageError(
                f"there is nothing to measure {self.name} on: only a run folder knows its data",
                hint=hint,
            )
        return self.run.dataset()

    def own_imgsz(self, *, trust: bool = False) -> int:
        """Side of the input that the checkpoint was trained with, in pixels."""
        if self.run is not None:
            return self.run.config().imgsz
        if self.checkpoint is None:
            return DEFAULT_IMGSZ
        from detect_tl.models.checkpoint import load_checkpoint

        trained: Any = load_checkpoint(self.checkpoint, trust=trust).train_args.get("imgsz")
        return trained if isinstance(trained, int) else DEFAULT_IMGSZ


EXPORTED = (".onnx", ".xml")
"""Files of ONNX, and of OpenVINO with its weights in a .bin beside it."""


def find_model(
    model: str | Path, *, trust: bool = False, progress: Progress | None = None
) -> ModelFiles:
    """Find the files of a model.

    Raises WeightsError when there are none, UsageError for a run that has no result yet.
    """
    path = Path(model).expanduser()
    if path.suffix.lower() in EXPORTED:
        if not path.is_file():
            raise WeightsError("there is no such model file", path=path, hint="Check the path.")
        return ModelFiles(str(model), None, path, _run_with(path))
    run = _run_of(path)
    if run is not None:
        return ModelFiles(str(model), run.best, _fresh_onnx(run), run)
    from detect_tl.transfer.fetch import locate

    located = locate(model, trust=trust, progress=progress)
    return ModelFiles(str(model), located.path, None, None)


def _run_with(onnx: Path) -> RunFolder | None:
    """The run whose export this is."""
    from detect_tl.training.folder import RunFolder

    run = RunFolder(onnx.parent)
    return run if run.onnx == onnx and (run.path / "config.json").is_file() else None


def _run_of(path: Path) -> RunFolder | None:
    """The run that `path` is, or whose best checkpoint it is."""
    from detect_tl.training.folder import RunFolder

    folder = path if path.is_dir() else path.parent.parent
    if not (folder / "config.json").is_file():
        return None
    run = RunFolder(folder)
    if path.is_file() and path.resolve() != run.best.resolve():
        return None
    if not run.best.is_file():
        raise UsageError(
            f"the run {folder} has no weights/best.pt yet",
            hint=f"Finish it with `detect-tl resume {folder}`.",
        )
    return run


def _fresh_onnx(run: RunFolder) -> Path | None:
    """The run's export, unless training has gone on since."""
    if run.onnx.is_file() and run.onnx.stat().st_mtime >= run.best.stat().st_mtime:
        return run.onnx
    return None


def sample_picture(files: ModelFiles) -> Path | None:
    """A picture like those that a model is for: of its run, else a packaged photo."""
    from detect_tl.core.files import find_images
    from detect_tl.export.gate_images import packaged_photos

    own = find_images(files.run.dataset() / "images" / "val") if files.run is not None else []
    return next(iter([*own[:1], *packaged_photos()]), None)
