"""The library side of the verbs: light to import, named as the commands are, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import detect_tl
from detect_tl import api
from detect_tl.api.engines import torch_device
from detect_tl.api.evaluation import truth_of
from detect_tl.api.exporting import exported
from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.cli.app import COMMANDS
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.geometry import Box, PolygonMask, Size
from detect_tl.runtime.backends import engine_device
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from tests.runtime.conftest import detect_model, picture  # noqa: F401  # fixture

HEAVY = {"torch", "torchvision", "ultralytics", "cv2", "numpy", "PIL", "onnxruntime", "pydantic"}


@pytest.mark.parametrize("module", ["detect_tl", "detect_tl.api", "detect_tl.api.machine"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert HEAVY.isdisjoint({name.partition(".")[0] for name in done.stdout.split()})


def test_every_command_is_a_verb_of_the_api() -> None:
    verbs = {name.partition("_")[0] for name in api.__all__}
    # A service stands on top of the API: it takes a detector from it, and is in a room of its own.
    commands = set(COMMANDS) - {"serve"} | {"detector"}
    assert verbs == {name.replace("eval", "evaluate") for name in commands}
    assert all(callable(getattr(api, name)) for name in api.__all__)


def test_the_package_offers_the_verbs_that_are_no_rooms() -> None:
    code = (
        "import detect_tl\n"
        "for name in detect_tl.__all__: assert getattr(detect_tl, name) is not None, name\n"
        "assert detect_tl.train is detect_tl.api.train\n"
        "from detect_tl.training.engine import TransferTrainer\n"
        "assert detect_tl.TransferTrainer is TransferTrainer\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
    rooms = {path.name for path in Path(detect_tl.__file__).parent.iterdir() if path.is_dir()}
    offered = set(detect_tl.__all__) - {"api", "TransferTrainer", "__version__"}
    assert offered == {n for n in api.__all__ if "_" not in n} - rooms
    with pytest.raises(AttributeError, match="nonsense"):
        detect_tl.nonsense  # noqa: B018


def test_results_are_json(sample: Path, tmp_path: Path) -> None:
    results = [
        api.formats(),
        api.check(sample),
        api.convert(sample, tmp_path / "out", split=(0.5, 0.5)),
        api.weights_list(),
        api.weights_info("yolo11n"),
    ]
    for result in results:
        assert json.loads(json.dumps(result.as_json())) == result.as_json()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Eight YOLO pictures."""
    root = tmp_path / "sample"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for index in range(8):
        Image.new("RGB", (40, 30), (index * 30, 9, 9)).save(root / "images" / f"a{index}.png")
        (root / "labels" / f"a{index}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (root / "data.yaml").write_text("names: [cat]\n")
    return root


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder as far as its files can be told apart."""
    folder = RunFolder(tmp_path / "run")
    folder.best.parent.mkdir(parents=True)
    folder.best.write_bytes(b"best")
    folder.last.write_bytes(b"last")
    config = TrainConfig(data=Path("data"), imgsz=96)
    (folder.path / "config.json").write_text(config.model_dump_json())
    return folder


def test_a_run_is_found_by_its_folder_and_its_best_checkpoint(run: RunFolder) -> None:
    for model in (run.path, str(run.path), run.best):
        found = find_model(model)
        assert (found.checkpoint, found.onnx) == (run.best, None)
        assert found.run is not None
        assert found.own_imgsz() == 96
    other = find_model(run.last)
    assert (other.checkpoint, other.run) == (run.last, None)


def test_an_export_that_is_older_than_the_checkpoint_is_not_used(run: RunFolder) -> None:
    run.onnx.write_bytes(b"export")
    assert find_model(run.path).onnx == run.onnx
    then = run.best.stat().st_mtime_ns - 10**9
    os.utime(run.onnx, ns=(then, then))
    assert find_model(run.path).onnx is None


def test_a_run_without_a_result_says_how_to_finish_it(run: RunFolder) -> None:
    run.best.unlink()
    with pytest.raises(UsageError) as refused:
        find_model(run.path)
    assert "resume" in refused.value.hint


def test_an_exported_file_is_a_model_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.ONNX"
    path.write_bytes(b"")
    assert find_model(path) == ModelFiles(str(path), None, path, None)
    assert exported(find_model(path), (64, 64)) == path  # the runtime judges the size
    with pytest.raises(WeightsError, match=r"b\.onnx"):
        find_model(tmp_path / "b.onnx")


def test_what_is_exported_cannot_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="exported already"):
        api.export(path)


def test_the_truth_keeps_order_names_and_masks() -> None:
    ring = np.array([[1.0, 1], [9, 1], [9, 9]])
    with_mask = Instance(1, Box(1, 1, 9, 9), PolygonMask((ring,)))
    crowd = replace(with_mask, iscrowd=True, category=0)
    samples = tuple(
        Sample(Path(f"{name}.jpg"), Size(20, 10), (with_mask, crowd)[: 2 - k], "train")
        for k, name in enumerate("zab")
    )
    dataset = Dataset((Category("b"), Category("a")), samples)
    truth = truth_of(dataset, masks=True)
    assert truth.names == ("b", "a")
    assert [image.file_name for image in truth.images] == ["z.jpg", "a.jpg", "b.jpg"]
    assert [(o.category, o.iscrowd) for o in truth.objects] == [(1, False), (0, True), (1, False)]
    assert truth.objects[0].mask is not None
    assert all(item.mask is None for item in truth_of(dataset, masks=False).objects)


@pytest.mark.parametrize(
    ("given", "torch", "runtime"),
    [
        ("", "", "auto"),
        ("auto", "", "auto"),
        ("cpu", "cpu", "cpu"),
        ("cuda", "0", "cuda"),
        ("cuda:1", "1", "cuda"),
        ("0", "0", "cuda"),
        ("mps", "mps", "mps"),
    ],
)
def test_devices_have_one_spelling_for_users(given: str, torch: str, runtime: str) -> None:
    assert (torch_device(given), engine_device(given)) == (torch, runtime)


def test_a_detector_is_ready_to_detect(
    detect_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    image = picture(64, 64, (8, 8, 16, 16, "red"))
    with api.detector(detect_model, conf=0.6) as detector:
        assert detector.spec.names == ("red", "green", "blue")
        assert detector([image])[0].xyxy.tolist() == [[8, 8, 16, 16]]
    with pytest.raises(UsageError, match="keeps no thresholds"):
        api.detector(detect_model, conf="auto")
    with pytest.raises(UsageError, match="conf is 2"):
        api.detector(detect_model, conf=2)
    with pytest.raises(UsageError, match="64x64 images only"):
        api.detector(detect_model, imgsz=96)
    with pytest.raises(WeightsError, match="no such model file"):
        api.detector(tmp_path / "missing.onnx")
