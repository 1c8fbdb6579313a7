"""A bundle runs where neither torch nor this package is, and finds the same."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import orjson
import pytest

from detect_tl.core.errors import UsageError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.bundle import write_bundle
from detect_tl.export.container import files_of, write_model
from detect_tl.export.imports import PACKAGE, find_needs
from detect_tl.export.metadata import metadata_of
from detect_tl.export.model import ExportResult
from detect_tl.export.parity import TOLERANCES, ParityReport
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.predict import predict
from tests.runtime.colour_model import NAMES, colour_model
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, write_video

# Runs a script as on another machine: nothing but what requirements.txt names can be imported, and
# this repository is not on the path.
ELSEWHERE = """
import importlib.machinery, pathlib, runpy, sys
bundle, repository = sys.argv[1:3]
refused = sys.argv[3].split(",")

class Without(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = name.partition(".")[0] in refused
        return None if missing else super().find_spec(name, path, target)

sys.meta_path = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, Without]
others = [p for p in sys.path if p and not (pathlib.Path(p) / "detect_tl" / "cli").exists()]
sys.path = [bundle, *others]
sys.argv = ["detect.py", *sys.argv[4:]]
runpy.run_path(f"{bundle}/detect.py", run_name="__main__")
"""
REFUSED = (
    "torch torchvision ultralytics onnx pydantic click rich yaml matplotlib jinja2 pandas openvino "
    "albumentations shapely faster_coco_eval polars imagehash simdjson pooch defusedxml"
).split()


def result_of(folder: Path, suffix: str = ".onnx") -> ExportResult:
    """An export of the model of colours, with thresholds at which only red is shown."""
    spec = ModelSpec(names=NAMES, imgsz=(64, 64), stride=8)
    thresholds = orjson.dumps({"red": 0.5, "green": 1.0, "blue": 1.0}).decode()
    metadata = metadata_of(spec, "fp32", {"thresholds": thresholds})
    path = folder / f"colours{suffix}"
    write_model(onnx.load(colour_model(folder / "plain.onnx")), path, "fp32", metadata)
    parity = ParityReport("fp32", TOLERANCES["fp32"], ())
    return ExportResult(
        path=path,
        files=files_of(path),
        size_bytes=1,
        precision="fp32",
        opset=18,
        spec=spec,
        parity=parity,
        accuracy=None,
        quantized=None,
        nms=False,
        metadata=metadata,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return write_bundle(result_of(folder), folder / "out")


def run(bundle: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    options = [str(bundle), str(PACKAGE.parent), ",".join(REFUSED), *arguments]
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, *options]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=120
    )


def rows(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["picture", "video"])
def test_it_finds_what_the_main_program_finds(bundle: Path, tmp_path: Path, kind: str) -> None:
    if kind == "picture":
        source = tmp_path / "cells.png"
        cells = ((0, 0, 8, 8, "red"), (16, 8, 24, 16, "green"), (40, 40, 48, 48, "blue"))
        cv2.imwrite(str(source), picture(64, 64, *cells))
    else:
        source = write_video(tmp_path / "walk.mp4", moving_square(5))
    done = run(bundle, source.name, "--out", "found", "--backend", "onnxruntime", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours = predict(
        bundle / "model.onnx", source, PredictConfig(out=tmp_path / "ours", backend="onnxruntime")
    )
    assert orjson.loads(done.stdout)["objects"] == ours.objects
    assert sum(ours.objects.values()) >= 3
    found = rows(tmp_path / "found" / "detections.jsonl")
    assert found == rows(tmp_path / "ours" / "detections.jsonl")


def test_thresholds_of_the_run_come_along(bundle: Path, tmp_path: Path) -> None:
    cv2.imwrite(
        str(tmp_path / "c.png"), picture(64, 64, (0, 0, 8, 8, "red"), (16, 8, 24, 16, "green"))
    )
    done = run(bundle, "c.png", "--conf", "auto", cwd=tmp_path)
    assert orjson.loads(done.stdout)["objects"] == {"red": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing.png"], 3, "nothing.png"),
        (["c.png", "--conf", "much"], 2, "'much' is no confidence"),
        (["c.png", "--classes", "grey"], 2, "no class 'grey'"),
    ],
)
def test_errors_are_sentences(
    bundle: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((64, 64, 3), np.uint8))
    done = run(bundle, *arguments, cwd=tmp_path)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_it_holds_what_it_promises(bundle: Path) -> None:
    assert (bundle / "labels.txt").read_text().splitlines() == list(NAMES)
    lines = (bundle / "requirements.txt").read_text().splitlines()
    names = {line.partition(">=")[0] for line in lines}
    assert {"numpy", "onnxruntime", "opencv-python-headless", "av"} <= names
    assert not names & {"torch", "ultralytics", "openvino", "opencv-python", "onnx"}
    assert all(">=" in line for line in lines)
    docker = (bundle / "Dockerfile").read_text()
    assert "slim" in docker
    assert docker.index("USER detector") < docker.index("ENTRYPOINT")
    readme = (bundle / "README.md").read_text()
    for name in ("pip install -r requirements.txt", "python detect.py", "docker build", "AGPL-3.0"):
        assert name in readme
    assert "$" not in readme.replace('"$PWD', "")
    assert not {path.name for path in (bundle / "detect_tl").iterdir()} & {"cli", "training", "api"}
    metadata = orjson.loads((bundle / "metadata.json").read_bytes())
    assert metadata["detect_tl.names"] == orjson.dumps(NAMES).decode()


def test_an_ir_asks_for_its_own_engine(tmp_path: Path) -> None:
    done = write_bundle(result_of(tmp_path, ".xml"), tmp_path / "out")
    assert {"model.xml", "model.bin"} <= {path.name for path in done.iterdir()}
    names = {line.partition(">=")[0] for line in (done / "requirements.txt").read_text().split()}
    assert "openvino" in names
    assert "onnxruntime" not in names


def test_what_runs_both_ways_asks_for_both_engines(tmp_path: Path) -> None:
    both = replace(result_of(tmp_path), precision="fp32+int8")
    done = write_bundle(both, tmp_path / "out")
    names = {line.partition(">=")[0] for line in (done / "requirements.txt").read_text().split()}
    assert {"openvino", "onnxruntime"} <= names


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        write_bundle(result_of(tmp_path), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_only_what_runs_is_needed() -> None:
    needs = find_needs(PACKAGE / "runtime" / "predict.py")
    names = {path.relative_to(PACKAGE).as_posix() for path in needs.modules}
    assert {"__init__.py", "plugins.py", "runtime/postprocess.py", "core/detections.py"} <= names
    assert not {name for name in names if name.split("/")[0] in ("api", "models", "training")}
    assert "torch" not in needs.others
    assert "os" not in needs.others
