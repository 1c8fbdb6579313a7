"""A model on its way to the nodes: its bytes, and the detector that is made of them there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from detect_tl.core.errors import WeightsError
from detect_tl.core.images import Image
from detect_tl.runtime.config import AUTO, DetectorConfig
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.opening import Model, make_detector, open_model
from detect_tl.runtime.wanted import Wanted


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One exported model, with what lies beside it and belongs to it; the first is the model.

    labels: what its classes are called in the results; None: as in the model.
    """

    files: Mapping[str, bytes]
    labels: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class PackedModel:
    """Everything a node needs to detect. sha256: of the files, by name and content."""

    parts: tuple[PackedFile, ...]
    config: DetectorConfig
    sha256: str

    def opened(self, threads: int) -> Detector:
        """A detector on this node; the caller closes it.

        Raises WeightsError when the bytes are not those that were sent.
        """
        if _sha256(self.parts) != self.sha256:
            raise WeightsError("the model was damaged on its way to a node", hint="Run it again.")
        # An engine has read its files when it is open; one that maps them keeps them by itself.
        with TemporaryDirectory(prefix="detect-tl-", ignore_cleanup_errors=True) as folder:
            paths = [_unpacked(part, Path(folder, str(k))) for k, part in enumerate(self.parts)]
            model: Model = paths[0]
            if self.parts[0].labels is not None:
                model = [Wanted(p, q.labels or {}) for p, q in zip(paths, self.parts, strict=True)]
            backend, _, _ = open_model(model, None, self.config, threads=threads)
        try:
            return make_detector(backend, self.config)
        except BaseException:
            backend.close()
            raise


@dataclass(frozen=True, slots=True)
class Tried:
    """A model that was opened once before it is sent.

    backend: the engine that is to run it. cuda: whether that can run on CUDA, as installed here.
    """

    packed: PackedModel
    backend: str
    cuda: bool
    reasons: tuple[str, ...]
    classes: tuple[str, ...]


def pack_model(model: Model, config: DetectorConfig, sample: Image | None) -> Tried:
    """Read a model to send it to nodes, once it has been opened here.

    The engine is chosen here, so that all nodes have the same one. sample: to choose it by, with
    one thread; see `chosen_engine`. Raises what `open_model` and `make_detector` raise.
    """
    single = isinstance(model, Path)
    backend, name, reasons = open_model(model, sample if single else None, config, threads=1)
    with closing(backend):
        detector = make_detector(backend, config)
        classes = detector.spec.names
    if single and config.backend == AUTO:
        config = replace(config, backend=name)
    wanted = [Wanted(model, {})] if isinstance(model, Path) else list(model)
    parts = tuple(PackedFile(_read(each.path), None if single else each.labels) for each in wanted)
    return Tried(
        packed=PackedModel(parts, config, _sha256(parts)),
        backend=name,
        cuda="onnxruntime" in name and _has_cuda(),
        reasons=tuple(reasons),
        classes=tuple(classes),
    )


def _has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _read(path: Path) -> dict[str, bytes]:
    beside = [path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else _external(path)
    return {
        each.relative_to(path.parent).as_posix(): each.read_bytes()
        for each in [path, *beside]
        if each.is_file()
    }


def _external(path: Path) -> list[Path]:
    """The files with weights that a large ONNX model keeps beside itself."""
    if path.suffix.lower() != ".onnx":
        return []
    import onnx
    from onnx.external_data_helper import uses_external_data

    graph = onnx.load(str(path), load_external_data=False).graph
    names = {
        entry.value
        for tensor in graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [path.parent / name for name in sorted(names)]


def _unpacked(part: PackedFile, folder: Path) -> Path:
    for name, content in part.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / next(iter(part.files))


def _sha256(parts: tuple[PackedFile, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for name, content in sorted(part.files.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        digest.update(repr(sorted((part.labels or {}).items())).encode())
    return digest.hexdigest()
