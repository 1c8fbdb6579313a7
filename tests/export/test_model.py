"""Exports of small models: the same answers, metadata for every reader, nothing half-written."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import orjson
import pytest
from onnx import numpy_helper

import detect_tl.export.model as export_module
from detect_tl.core.errors import DataError, GateError, UsageError, WeightsError
from detect_tl.core.images import read_image
from detect_tl.core.progress import Silent
from detect_tl.export.model import ExportResult, export_model
from detect_tl.models.onnx_export import build_graph
from detect_tl.models.yolo import YOLO
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector
from tests.export.conftest import IMGSZ, NAMES, Maker


@pytest.fixture(scope="module")
def exported(
    checkpoint: Path, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> ExportResult:
    out = tmp_path_factory.mktemp("export") / "best.onnx"
    return export_model(checkpoint, out, images=pictures, metadata={"dataset_sha256": "abc"})


def test_the_result_says_what_was_written(exported: ExportResult) -> None:
    assert exported.path.stat().st_size == exported.size_bytes
    assert [p.name for p in exported.path.parent.iterdir()] == ["best.onnx"]
    assert exported.spec.imgsz == (IMGSZ, IMGSZ)  # what the checkpoint was trained with
    assert exported.opset == 18
    document = orjson.loads(orjson.dumps(exported.as_json()))
    assert document["parity"]["holds"] is True
    assert len(document["parity"]["images"]) == 8


def test_the_gate_compared_real_detections(exported: ExportResult) -> None:
    assert sum(image.detections[0] for image in exported.parity.images) >= 8
    assert exported.parity.notes == []
    assert exported.parity.box is not None
    assert exported.parity.score < 1e-4
    assert {image.image for image in exported.parity.images} == {f"{k}.png" for k in range(8)}


FAMILIES = [
    ("yolo11n-seg", False, {}),
    ("yolo26n", True, {"dynamic": True}),
    pytest.param(("yolov8n", False, {"dynamic": True}), marks=pytest.mark.slow),
    pytest.param(("yolov8n-seg", False, {"precision": "fp16"}), marks=pytest.mark.slow),
    pytest.param(("yolo11n-seg", False, {"dynamic": True}), marks=pytest.mark.slow),
    pytest.param(("yolo11n-seg", False, {"precision": "int8"}), marks=pytest.mark.slow),
    pytest.param(("yolo26n", False, {"precision": "fp16"}), marks=pytest.mark.slow),
    pytest.param(("yolo26n", True, {"precision": "fp16"}), marks=pytest.mark.slow),
    pytest.param(("yolo26n-seg", False, {}), marks=pytest.mark.slow),
    pytest.param(("yolo26n-seg", True, {"dynamic": True}), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("case", FAMILIES)
def test_every_family_passes_its_gate(
    make_checkpoint: Maker, pictures: list[Path], tmp_path: Path, case: tuple[str, bool, dict]
) -> None:
    name, end2end, options = case
    source = make_checkpoint(name, end2end=end2end)
    result = export_model(source, tmp_path / "m.onnx", images=pictures, **options)
    assert result.spec.end2end is end2end
    assert result.spec.task == ("segment" if name.endswith("-seg") else "detect")
    assert (result.parity.mask is None) == (result.spec.task == "detect")
    assert sum(image.detections[0] for image in result.parity.images) > 0


@pytest.mark.parametrize("options", [{"dynamic": True}, {"opset": 13, "batch": 2}])
def test_shapes_and_opsets(
    checkpoint: Path, pictures: list[Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    result = export_model(checkpoint, tmp_path / "m.onnx", images=pictures[5:6], **options)
    session = onnxruntime.InferenceSession(str(result.path))
    shape = session.get_inputs()[0].shape
    assert [type(side) for side in (shape[0], *shape[2:])] == [
        str if options.get("dynamic") else int
    ] * 3
    shapes = {image.shape for image in result.parity.images}
    assert (len(shapes) > 1) == bool(options.get("dynamic"))
    assert result.opset == options.get("opset", 18)


def test_a_rectangle_can_be_asked_for(
    checkpoint: Path, pictures: list[Path], tmp_path: Path
) -> None:
    result = export_model(checkpoint, tmp_path / "m.onnx", images=pictures[5:6], imgsz=(32, 96))
    assert load_backend(result.path).spec.imgsz == (32, 96)


def test_half_precision_halves_the_file_and_keeps_its_inputs(
    checkpoint: Path, pictures: list[Path], exported: ExportResult, tmp_path: Path
) -> None:
    result = export_model(checkpoint, tmp_path / "h.onnx", images=pictures[5:6], precision="fp16")
    assert 0.4 < result.size_bytes / exported.size_bytes < 0.6
    session = onnxruntime.InferenceSession(str(result.path))
    kinds = {item.type for item in [*session.get_inputs(), *session.get_outputs()]}
    assert kinds == {"tensor(float)"}
    graph = onnx.load(result.path)
    onnx.checker.check_model(graph, full_check=True)
    # Rounded once on the way in, and never again: boxes are decoded in single precision, for in
    # half precision all coordinates above 512 would be multiples of a half.
    rounded = [
        list(node.input)
        for node in graph.graph.node
        if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT16
    ]
    assert rounded == [["images"]]


def test_the_same_checkpoint_gives_the_same_file(
    checkpoint: Path, pictures: list[Path], exported: ExportResult, tmp_path: Path
) -> None:
    again = export_model(
        checkpoint, tmp_path / "m.onnx", images=pictures[5:6], metadata={"dataset_sha256": "abc"}
    )
    assert again.path.read_bytes() == exported.path.read_bytes()


def test_plain_ultralytics_runs_the_file_and_agrees(
    exported: ExportResult, pictures: list[Path]
) -> None:
    theirs = YOLO(str(exported.path), task="detect")
    ours = Detector(load_backend(exported.path))
    for path in pictures[:3]:
        (want,) = theirs.predict(str(path), imgsz=IMGSZ, verbose=False, save=False)
        (got,) = ours([read_image(path)])
        assert want.names == dict(enumerate(NAMES))
        np.testing.assert_allclose(got.xyxy, want.boxes.xyxy.numpy(), atol=0.01)
        np.testing.assert_allclose(got.score, want.boxes.conf.numpy(), atol=1e-5)


def test_the_file_says_how_to_feed_it(exported: ExportResult, checkpoint: Path) -> None:
    values = {item.key: item.value for item in onnx.load(exported.path).metadata_props}
    assert orjson.loads(values["detect_tl.names"]) == list(NAMES)
    assert orjson.loads(values["detect_tl.imgsz"]) == [IMGSZ, IMGSZ]
    assert orjson.loads(values["detect_tl.preprocessing"])["pad"] == 114
    assert values["license"] == values["detect_tl.license"] == "AGPL-3.0"
    assert values["detect_tl.dataset_sha256"] == "abc"
    assert len(values["detect_tl.weights_sha256"]) == 64
    assert str(checkpoint.parent) not in str(values)


@pytest.mark.slow
def test_suppression_inside_is_read_by_plain_ultralytics_and_by_us(
    checkpoint: Path, pictures: list[Path], exported: ExportResult, tmp_path: Path
) -> None:
    result = export_model(
        checkpoint, tmp_path / "nms.onnx", images=pictures, nms=True, dynamic=True
    )
    assert result.nms
    assert result.spec.end2end
    theirs = YOLO(str(result.path), task="detect")
    plain, inside = (Detector(load_backend(p), rect=False) for p in (exported.path, result.path))
    for path in pictures[:3]:
        (want,) = plain([read_image(path)])
        (got,) = inside([read_image(path)])
        np.testing.assert_allclose(got.xyxy, want.xyxy, atol=0.01)
        np.testing.assert_array_equal(got.class_id, want.class_id)
        (there,) = theirs.predict(str(path), imgsz=IMGSZ, rect=False, verbose=False, save=False)
        np.testing.assert_allclose(there.boxes.conf.numpy(), want.score, atol=1e-5)


def corrupt(graph: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    """Turn one convolution's weights upside down."""
    item = next(i for i in graph.graph.initializer if layer in i.name and len(i.dims) == 4)
    item.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(item), item.name))
    return graph


@pytest.mark.parametrize("layer", ["model.2.", "cv3.0.2"])
def test_the_gate_catches_a_damaged_graph_and_leaves_nothing(
    checkpoint: Path,
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layer: str,
) -> None:
    def damaged(*args: Any, **options: Any) -> onnx.ModelProto:
        return corrupt(build_graph(*args, **options), layer)

    monkeypatch.setattr(export_module, "build_graph", damaged)
    with pytest.raises(GateError, match=r"on 5\.png.* a score differs by .* \(allowed 0\.001\)"):
        export_model(checkpoint, tmp_path / "m.onnx", images=pictures[5:6])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_gate_leaves_the_file_of_before(
    checkpoint: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m.onnx"
    out.write_bytes(b"what was there")
    monkeypatch.setattr(
        export_module, "build_graph", lambda *a, **k: corrupt(build_graph(*a, **k), "model.2.")
    )
    with pytest.raises(GateError) as caught:
        export_model(checkpoint, out, images=pictures[5:6])
    assert caught.value.exit_code == 1
    assert out.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [out]


def test_nothing_is_asked_of_the_network(
    checkpoint: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the export opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    export_model(checkpoint, tmp_path / "m.onnx", images=pictures[:1])


class Bars(Silent):
    """Remembers the words beside the bars."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def step(self, text: str, total: float | None = None) -> Any:
        self.texts.append(text)
        return super().step(text, total)


def test_progress_is_shown(checkpoint: Path, pictures: list[Path], tmp_path: Path) -> None:
    bars = Bars()
    export_model(checkpoint, tmp_path / "m.onnx", images=pictures[:1], progress=bars)
    assert bars.texts == ["Export", "Parity gate"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"imgsz": 50}, "50x50 does not fit"),
        ({"imgsz": (64, 0)}, "64x0 does not fit"),
        ({"opset": 7}, "opset 7"),
        ({"opset": 99}, "opset 99"),
        ({"batch": 0}, "the batch is 0"),
        ({"precision": "fp61"}, "unknown precision 'fp61'"),
        ({"images": ()}, "no pictures"),
    ],
)
def test_what_cannot_be_is_refused(
    checkpoint: Path, pictures: Sequence[Path], tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        export_model(checkpoint, tmp_path / "m.onnx", **{"images": pictures, **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.pt", "model"])
def test_the_name_must_be_that_of_an_onnx_file(
    checkpoint: Path, pictures: list[Path], tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="no name for an ONNX file"):
        export_model(checkpoint, tmp_path / name, images=pictures)


def test_bad_files_are_named(checkpoint: Path, pictures: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        export_model(checkpoint, tmp_path / "m.onnx", images=[broken])
    with pytest.raises(WeightsError, match=r"broken\.jpg"):
        export_model(broken, tmp_path / "m.onnx", images=pictures)
    assert not (tmp_path / "m.onnx").exists()
