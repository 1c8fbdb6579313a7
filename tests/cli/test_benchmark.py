from __future__ import annotations

import json
from pathlib import Path

from detect_tl.core.images import write_image
from tests.cli.conftest import Run, refused
from tests.runtime.colour_model import colour_model
from tests.runtime.conftest import picture


def test_a_table_and_a_document(run: Run, tmp_path: Path) -> None:
    model = colour_model(tmp_path / "model.onnx")
    shot = tmp_path / "shot.png"
    write_image(shot, picture(64, 64, (0, 0, 24, 24, "red")))
    options = ("--image", shot, "--seconds", "0.1", "--backend", "onnxruntime")
    shown = run("benchmark", model, *options)
    assert shown.exit_code == 0, shown.output
    assert "model.onnx on shot.png, 64x64" in shown.stdout
    assert "fastest: onnxruntime" in shown.stdout
    document = json.loads(run("benchmark", model, *options, "--json").stdout)
    assert {row["backend"] for row in document["speeds"]} == {"onnxruntime"}
    assert document["fastest"] in document["speeds"]


def test_what_is_not_there(run: Run, tmp_path: Path) -> None:
    model = colour_model(tmp_path / "model.onnx")
    refused(run("benchmark", model, "--image", tmp_path / "none.png"), 3, "none.png")
    refused(run("benchmark", tmp_path / "none.onnx"), 4, "none.onnx")
