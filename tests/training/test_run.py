"""Runs on a tiny data set: what must not change does not, and what was killed ends the same."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.files import read_json
from detect_tl.evaluation.plots import read_curves
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.run import resume, train
from detect_tl.training.trainer import Conduct
from tests.devices import DEVICE

pytestmark = pytest.mark.slow

BACKBONE_LAYERS = {"yolov8n": 10, "yolo11n": 11, "yolo26n": 11}


def config(data: Path, weights: Path, out: Path, **more: object) -> TrainConfig:
    values = {"epochs": 2, "imgsz": 64, "batch": 4, "device": DEVICE, **more}
    return TrainConfig.parse({"data": data, "weights": str(weights), "out": out, **values})


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).model.state_dict()


def is_frozen(name: str, layers: int) -> bool:
    return int(name.split(".")[1]) < layers


def test_frozen_backbone_keeps_every_bit(shapes: Path, checkpoint: Path, tmp_path: Path) -> None:
    run = train(config(shapes, checkpoint, tmp_path / "run")).run
    layers = BACKBONE_LAYERS[checkpoint.stem]
    before = tensors(checkpoint)
    for path in (run.best, run.last):  # these hold the average (EMA)
        after = tensors(path)
        frozen = [name for name in before if is_frozen(name, layers)]
        assert any("running_var" in name for name in frozen)
        changed = [name for name in frozen if not torch.equal(before[name], after[name])]
        assert changed == []
        neck = [n for n in before if not is_frozen(n, layers) and before[n].is_floating_point()]
        same = [n for n in neck if n in after and before[n].shape == after[n].shape]
        assert any(not torch.equal(before[name], after[name]) for name in same)


def test_frozen_range_of_a_float32_checkpoint_is_not_rounded(
    shapes: Path, tmp_path: Path, small_checkpoint: Path
) -> None:
    """A checkpoint saved as float16 would round weights that never were float16."""
    document = torch.load(small_checkpoint, weights_only=False)
    model = document["model"].float()
    with torch.no_grad():
        model.model[0].conv.weight.mul_(1 + 2**-20)
    torch.save({**document, "model": model}, tmp_path / "precise.pt")
    run = train(config(shapes, tmp_path / "precise.pt", tmp_path / "run", epochs=1)).run
    name = "model.0.conv.weight"
    assert torch.equal(tensors(run.best)[name], model.state_dict()[name])


def test_run_folder_says_what_was_done(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    result = train(config(shapes, small_checkpoint, tmp_path / "run", epochs=1))
    run = result.run
    assert result.names == ("disc", "square")
    assert run.finished
    assert read_json(run.path / "config.json")["task"] == "detect"
    assert read_json(run.path / "dataset.json")["objects"] == {"train": 24, "val": 12}
    assert read_json(run.path / "environment.json")["packages"]["torch"]
    fates = read_json(run.transfer)["tensors"]
    assert set(fates) == set(tensors(run.best))
    assert run.metrics.read_text().count("\n") == 2
    with pytest.raises(UsageError, match="already exists"):
        train(config(shapes, small_checkpoint, run.path, epochs=1))
    with pytest.raises(UsageError, match="has finished"):
        resume(run.path)


def test_a_run_that_is_told_to_stop_has_finished(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    asked: list[tuple[int, float]] = []

    def goes_on(epoch: int, row: Mapping[str, float]) -> bool:
        asked.append((epoch, row["metrics/mAP50-95(B)"]))
        return epoch < 2

    settings = config(shapes, small_checkpoint, tmp_path / "run", epochs=4, measure_start=True)
    result = train(settings, conduct=Conduct(goes_on, threads=1))
    assert result.epochs == 2
    assert result.run.finished
    assert torch.get_num_threads() == 1
    rows = result.run.epochs()
    assert list(rows) == [0, 1, 2]
    assert [epoch for epoch, _ in asked] == [1, 2]
    told = [rows[epoch]["metrics/mAP50-95(B)"] for epoch, _ in asked]
    assert told == pytest.approx([value for _, value in asked], rel=1e-5)


def test_a_run_that_ended_while_it_was_asked_is_asked_again(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    def dies(epoch: int, row: Mapping[str, float]) -> bool:
        if epoch == 2:
            raise KeyboardInterrupt
        return True

    settings = config(shapes, small_checkpoint, tmp_path / "run", epochs=4)
    with pytest.raises(KeyboardInterrupt):
        train(settings, conduct=Conduct(dies))
    run = RunFolder(settings.out)
    assert not run.finished
    before = run.best.read_bytes(), run.last.read_bytes(), run.metrics.read_bytes()
    asked: list[int] = []
    result = resume(run.path, conduct=Conduct(lambda epoch, _: bool(asked.append(epoch))))
    assert (asked, result.epochs) == ([1, 2], 2)
    assert run.finished
    assert (run.best.read_bytes(), run.last.read_bytes(), run.metrics.read_bytes()) == before


SCRIPT = """
import sys
from pathlib import Path
from detect_tl.training.config import TrainConfig
from detect_tl.training.run import train
data, weights, out, strategy, device = sys.argv[1:]
train(TrainConfig.parse(dict(data=data, weights=weights, out=out, epochs=4, imgsz=64, batch=4,
                             device=device, strategy=strategy, views=2, refresh=3, l2_sp=5.0,
                             measure_start=True)))
"""


@pytest.mark.parametrize("strategy", ["freeze", "gradual"])
def test_killed_run_resumes_to_the_same_bits(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, strategy: str
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    settings: dict[str, object] = {"strategy": strategy, "views": 2, "refresh": 3, "l2_sp": 5.0}
    train(config(shapes, small_checkpoint, whole, epochs=4, measure_start=True, **settings))
    arguments = [sys.executable, "-c", SCRIPT, shapes, small_checkpoint, killed, strategy, DEVICE]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    wait_for_epoch(process, RunFolder(killed), epoch=2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not RunFolder(killed).finished
    resume(killed)
    expected, got = tensors(RunFolder(whole).last), tensors(RunFolder(killed).last)
    assert [name for name in expected if not torch.equal(expected[name], got[name])] == []
    rows = [line.split(",")[0] for line in RunFolder(killed).metrics.read_text().splitlines()]
    assert rows == ["epoch", "0", "1", "2", "3", "4"]
    seconds = read_curves(RunFolder(killed).metrics)["time"]
    assert seconds == sorted(seconds)


def test_the_start_is_measured_before_the_first_step(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    """Rates near zero change nothing, so the start is as good as the end."""
    settings: dict[str, object] = {"epochs": 1, "strategy": "full", "lr": 1e-12, "amp": False}
    run = train(
        config(shapes, small_checkpoint, tmp_path / "a", measure_start=True, **settings)
    ).run
    curves = read_curves(run.metrics)
    assert curves["epoch"] == [0, 1]
    start, end = curves["metrics/mAP50-95(B)"]
    assert start == pytest.approx(end, abs=0.02)
    assert math.isnan(curves["train/box_loss"][0])
    assert curves["val/box_loss"][0] > 0
    plain = train(config(shapes, small_checkpoint, tmp_path / "b", **settings)).run
    a, b = tensors(run.last), tensors(plain.last)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def wait_for_epoch(process: subprocess.Popen[bytes], run: RunFolder, epoch: int) -> None:
    """Wait until `epoch` (1-based) is saved, and then a little, into the next one."""
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if run.resume_state.exists() and run.metrics.exists():
            state = torch.load(run.resume_state, weights_only=True)
            if state["epoch"] + 1 >= epoch:
                time.sleep(0.1)
                return
        time.sleep(0.02)
    pytest.fail("the run ended or hung before it could be killed")


def test_segmentation_starts_from_detection_weights(
    small_checkpoint: Path, tmp_path: Path, shapes: Path
) -> None:
    data = tmp_path / "polygons"
    shutil.copytree(shapes, data)
    for label in data.rglob("labels/*/*.txt"):
        label.write_text("".join(map(as_polygon, label.read_text().splitlines())))
    result = train(config(data, small_checkpoint, tmp_path / "run", epochs=1))
    assert result.task == "segment"
    model = load_checkpoint(result.run.best).model
    assert type(model).__name__ == "SegmentationModel"
    before, after = tensors(small_checkpoint), tensors(result.run.best)
    assert all(torch.equal(before[n], after[n]) for n in before if is_frozen(n, 11))


def as_polygon(line: str) -> str:
    kind, cx, cy, w, h = line.split()
    x1, x2 = float(cx) - float(w) / 2, float(cx) + float(w) / 2
    y1, y2 = float(cy) - float(h) / 2, float(cy) + float(h) / 2
    return f"{kind} {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}\n"


@pytest.mark.parametrize(
    "options", ['freeze="backbone"', 'strategy="freeze", views=2', 'strategy="auto", l2_sp=0.1']
)
def test_trainer_plugs_into_ultralytics(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, options: str
) -> None:
    """`YOLO(...).train(trainer=TransferTrainer)` freezes by name and reports the transfer."""
    code = """
import sys
from ultralytics import YOLO
import detect_tl
weights, data, out, device = sys.argv[1:]
YOLO(weights).train(trainer=detect_tl.TransferTrainer, data=data, epochs=1, imgsz=64, batch=4,
                    project=out, name="run", device=device, plots=False, %s)
"""
    data = tmp_path / "shapes"
    shutil.copytree(shapes, data)
    yaml = data / "data.yaml"
    yaml.write_text(f"path: {data}\n{yaml.read_text()}")
    arguments = [sys.executable, "-c", code % options, small_checkpoint, yaml, tmp_path, DEVICE]
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = tensors(small_checkpoint), tensors(tmp_path / "run" / "weights" / "best.pt")
    assert all(torch.equal(before[n], after[n]) for n in before if is_frozen(n, 11))
    assert read_json(tmp_path / "run" / "transfer.json")["tensors"]


def test_nothing_is_left_when_the_input_is_wrong(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "one"
    with pytest.raises(MachineError, match="CUDA device 99"):
        train(config(shapes, small_checkpoint, out, device="99"))
    with pytest.raises(UsageError, match="99"):
        train(config(shapes, small_checkpoint, out, freeze=99))
    with pytest.raises(DataError):
        train(config(tmp_path / "nothing", small_checkpoint, out))
    assert not out.exists()
