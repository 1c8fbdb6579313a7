"""Kinds of file: ONNX and OpenVINO's pair, whole or not at all, with the same answers."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.container import check_name, files_of, open_model, place, write_model
from detect_tl.export.half import Precision
from detect_tl.export.metadata import metadata_of
from detect_tl.export.model import export_model
from tests.export.conftest import NAMES, Maker
from tests.runtime.colour_model import NAMES as COLOURS, colour_model

TRICKY = ("a \"b\" <c> & 'd'", "größe", "x")
SPEC = ModelSpec(names=TRICKY, imgsz=(64, 64), stride=8)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])  # the graph is what it is
def test_a_file_says_what_it_is_and_answers_the_same(
    tmp_path: Path, suffix: str, precision: Precision
) -> None:
    graph = onnx.load(colour_model(tmp_path / "colours.onnx"))
    path = tmp_path / f"m{suffix}"
    write_model(graph, path, precision, metadata_of(SPEC, precision, {"run_sha256": "abc"}))
    batch = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    with closing(open_model(tmp_path / "colours.onnx")) as ours, closing(open_model(path)) as done:
        assert ours.spec.names == COLOURS
        assert done.spec == SPEC
        np.testing.assert_allclose(done.infer(batch)[0], ours.infer(batch)[0], atol=1e-5)


def test_the_same_graph_gives_the_same_pair(tmp_path: Path) -> None:
    graph = onnx.load(colour_model(tmp_path / "colours.onnx"))
    pairs = []
    for name in ("one", "two"):
        path = tmp_path / name / "m.xml"
        path.parent.mkdir()
        write_model(graph, path, "fp32", metadata_of(SPEC, "fp32", {}))
        assert sorted(path.parent.iterdir()) == sorted(files_of(path))
        pairs.append([file.read_bytes() for file in files_of(path)])
    assert pairs[0] == pairs[1]


def test_a_pair_is_placed_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "m.xml").write_text("graph")
    with pytest.raises(FileNotFoundError):
        place(source / "m.xml", target / "out.xml")
    assert list(target.iterdir()) == []
    (source / "m.bin").write_text("weights")
    assert place(source / "m.xml", target / "out.xml") == files_of(target / "out.xml")
    assert sorted(path.name for path in target.iterdir()) == ["out.bin", "out.xml"]


def test_openvino_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    check_name(tmp_path / "m.onnx")
    with pytest.raises(MachineError, match="OpenVINO is not installed"):
        check_name(tmp_path / "m.xml")


@pytest.mark.parametrize("name", ["m.pt", "m", "m.bin"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name for an ONNX file"):
        check_name(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_network_passes_its_gates_as_ir(
    make_checkpoint: Maker, pictures: list[Path], tmp_path: Path, precision: Precision
) -> None:
    result = export_model(
        make_checkpoint("yolov8n"),
        tmp_path / "m.xml",
        images=pictures,
        precision=precision,
        dynamic=True,
        nms=precision == "fp32",
    )
    assert [path.name for path in result.files] == ["m.xml", "m.bin"]
    assert result.size_bytes < (15e6 if precision == "fp32" else 8e6)
    with closing(open_model(result.path)) as backend:
        assert backend.spec.names == NAMES
        assert backend.spec.dynamic
        assert backend.spec.end2end == result.nms == (precision == "fp32")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo11n", "yolov8n-seg"])
def test_a_network_compiled_for_a_shape_answers_to_the_bit(
    monkeypatch: pytest.MonkeyPatch,
    make_checkpoint: Maker,
    pictures: list[Path],
    tmp_path: Path,
    name: str,
) -> None:
    monkeypatch.setattr("detect_tl.runtime.openvino._OFTEN", 3)
    out = tmp_path / "m.xml"
    export_model(make_checkpoint(name), out, images=pictures, dynamic=True)
    batch = np.random.default_rng(0).random((1, 3, 96, 160), np.float32)
    with closing(open_model(out)) as backend:
        answers = [backend.infer(batch) for _ in range(5)]
        assert backend._fixed is not None
    for later in answers[1:]:
        for got, want in zip(later, answers[0], strict=True):
            np.testing.assert_array_equal(got, want)
