"""Loading a checkpoint gives its model, and never runs what a file wants to have run."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from detect_tl.core.errors import WeightsError
from detect_tl.models.checkpoint import describe_checkpoint, load_checkpoint
from detect_tl.models.yolo import (
    DEFAULT_CFG,
    YOLO,
    DetectionModel,
    SegmentationModel,
    build_model,
    model_config,
)

NAMES = {0: "disc", 1: "square"}


@pytest.fixture(scope="module")
def detector() -> Any:
    torch.manual_seed(0)
    model = build_model(model_config("yolo11n", "detect"), "detect", len(NAMES))
    model.names = dict(NAMES)
    return model


def save(path: Path, model: Any, **more: Any) -> Path:
    torch.save({"model": model, "ema": None, "epoch": -1, **more}, path)
    return path


def refused(path: Path, **more: Any) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(path, **more)
    assert caught.value.exit_code == 4
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


# -- what must load ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolo11n", "yolov8n"])
def test_real_checkpoints(shared: Path, name: str) -> None:
    path = shared / "weights" / f"{name}.pt"
    found = load_checkpoint(path)
    plain = torch.load(path, weights_only=False, map_location="cpu")["model"].float().state_dict()
    state = found.model.state_dict()
    assert found.task == "detect"
    assert (len(found.names), found.names[0], found.names[79]) == (80, "person", "toothbrush")
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[key], plain[key]) for key in plain)
    assert not found.model.training
    assert all(v.dtype in (torch.float32, torch.int64) for v in state.values())


def test_what_a_training_leaves_beside_the_model(detector: Any, tmp_path: Path) -> None:
    """Paths, NumPy numbers, settings and optimizer state are as ordinary as weights."""
    path = save(
        tmp_path / "last.pt",
        detector.half(),
        train_args={"data": Path("/x/data.yaml"), "imgsz": 640, "project": None},
        best_fitness=np.float64(0.25),
        train_metrics={"fitness": np.float32(0.5), "n": np.int64(3)},
        optimizer={"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]},
        updates=7,
    )
    detector.float()
    found = load_checkpoint(path)
    assert str(found.train_args["data"]) == "/x/data.yaml"
    assert found.facts["best_fitness"] == 0.25
    assert found.facts["train_metrics"] == {"fitness": 0.5, "n": 3}
    assert "optimizer" not in found.facts
    assert found.names == ("disc", "square")


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_every_family_and_task_comes_back_whole(name: str, task: Any, tmp_path: Path) -> None:
    model = build_model(model_config(model_config(name, "detect"), task), task, 3).eval()
    found = load_checkpoint(save(tmp_path / "any.pt", model))
    assert found.task == task
    assert found.names == ("0", "1", "2")
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        ours, theirs = found.model(picture)[0], model(picture)[0]
    pairs = zip(ours, theirs, strict=True) if task == "segment" else [(ours, theirs)]
    for mine, other in pairs:
        assert torch.equal(mine, other)


def test_what_older_releases_wrote(detector: Any, tmp_path: Path) -> None:
    """Segmenters kept `Detect.forward`, models their loss and settings, names were a list."""
    model = build_model(model_config("yolov8n-seg", "segment"), "segment", 2)
    model.model[-1].detect = type(detector.model[-1]).forward
    model.args = DEFAULT_CFG
    model.names = ["disc", "square"]
    found = load_checkpoint(save(tmp_path / "old.pt", model))
    assert found.names == ("disc", "square")
    assert found.model.model[-1].detect is type(detector.model[-1]).forward


def test_a_loss_left_in_the_model_is_dropped(detector: Any, tmp_path: Path) -> None:
    detector.args = DEFAULT_CFG
    detector.criterion = detector.init_criterion()
    path = save(tmp_path / "loss.pt", detector)
    detector.criterion = None
    del detector.args
    assert load_checkpoint(path).model.criterion is None


def test_averaged_weights_come_first(detector: Any, tmp_path: Path) -> None:
    other = build_model(detector.yaml, "detect", 2)
    found = load_checkpoint(save(tmp_path / "ema.pt", detector, ema=other))
    assert torch.equal(found.model.model[0].conv.weight, other.model[0].conv.weight)


def test_moved_modules_are_found(detector: Any, tmp_path: Path) -> None:
    """Until 8.0.90 all layers were in `ultralytics.nn.modules` itself."""
    path = save(tmp_path / "moved.pt", detector)
    rewrite(
        path,
        lambda data: data.replace(b"ultralytics.nn.modules.conv\n", b"ultralytics.nn.modules\n"),
    )
    assert load_checkpoint(path).task == "detect"


def test_description(detector: Any, tmp_path: Path) -> None:
    info = describe_checkpoint(save(tmp_path / "a.pt", detector))
    assert (info.model, info.task, info.names) == ("yolo11n", "detect", ("disc", "square"))
    assert (info.layers, info.backbone_layers) == (24, 11)
    assert info.parameters == sum(value.numel() for value in detector.parameters())
    assert info.trainable
    fused = build_model(detector.yaml, "detect", 2).eval().fuse(verbose=False)
    assert not describe_checkpoint(save(tmp_path / "fused.pt", fused)).trainable


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the pickle inside a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(data) if name.endswith("/data.pkl") else data)


# -- what must not run -----------------------------------------------------------------------------


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def evil_calls(marker: Path) -> dict[str, Any]:
    text = f"open({str(marker)!r}, 'w').close()"
    activation = f"exec({text!r}) or torch.nn.SiLU()"
    config = {**model_config("yolo11n", "detect"), "activation": activation}
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "exec": Call(exec, text),
        "a constructor that evaluates text": Call(DetectionModel, config),
        "an attribute": Call(getattr, DetectionModel, "__init__"),
        "an attribute of a value": Call(getattr, "text", "format"),
        "an odd number type": Call(np.dtype, "O"),
    }


@pytest.mark.parametrize("kind", evil_calls(Path("/nowhere")))
@pytest.mark.parametrize("place", ["train_args", "model", "inside"])
def test_nothing_runs(detector: Any, tmp_path: Path, kind: str, place: str) -> None:
    marker = tmp_path / "ran"
    evil = evil_calls(marker)[kind]
    model = detector if place != "model" else evil
    if place == "inside":
        model = build_model(detector.yaml, "detect", 2)
        model.model[0].conv.__dict__["evil"] = evil
    path = save(
        tmp_path / "evil.pt", model, train_args={"x": evil} if place == "train_args" else {}
    )
    error = refused(path)
    assert not marker.exists()
    assert "it asks for" in error.message
    assert "--trust" in error.hint
    if kind in ("os.system", "exec"):
        assert kind.replace("os.", "") in error.message


@pytest.mark.parametrize("kind", ["os.system", "exec", "a constructor that evaluates text"])
def test_the_evil_file_would_have_run(tmp_path: Path, kind: str) -> None:
    """The check of the check: the plain loader does run it."""
    marker = tmp_path / "ran"
    path = save(tmp_path / "evil.pt", evil_calls(marker)[kind])
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_an_allow_list_of_classes_would_not_have_been_enough(tmp_path: Path) -> None:
    """The reason for stand-ins: torch's loader calls constructors of what is on its list."""
    marker = tmp_path / "ran"
    call = evil_calls(marker)["a constructor that evaluates text"]
    path = save(tmp_path / "evil.pt", call)
    with torch.serialization.safe_globals([DetectionModel]):
        torch.load(path, weights_only=True)
    assert marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "exec('raise SystemExit') or nn.SiLU()"},
        {"activation": "nn.SiLU()()"},
        {"activation": "nn.functional()"},
        {"head": [[-1, 1, "load_checkpoint", ["https://example.com/evil.pt"]]]},
        {"head": [[-1, 1, "DetectionModel", [{}]]]},
        {"head": [[-1, 1, "TorchVision", [64, "resnet18"]]]},
        {"head": [[-1, 1, "nn.functional", []]]},
        {"head": [["Conv"]]},
        {"backbone": []},
    ],
)
def test_a_configuration_that_is_no_model_is_refused(
    detector: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    model = build_model(detector.yaml, "detect", 2)
    model.yaml = {**model.yaml, **change}
    assert "was refused" in refused(save(tmp_path / "odd.pt", model)).message


@pytest.mark.parametrize("activation", ["nn.SiLU()", "torch.nn.LeakyReLU(0.1, inplace=True)", None])
def test_an_ordinary_activation_is_fine(detector: Any, tmp_path: Path, activation: object) -> None:
    model = build_model(detector.yaml, "detect", 2)
    model.yaml["activation"] = activation
    load_checkpoint(save(tmp_path / "fine.pt", model))


def test_trust_loads_what_was_refused(detector: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "own.pt", detector, train_args={"x": SimpleNamespace(a=1)})
    assert "types.SimpleNamespace" in refused(path).message
    assert load_checkpoint(path, trust=True).train_args["x"].a == 1


def test_nothing_stays_allowed_afterwards(detector: Any, tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())  # torch gives them in no order
    load_checkpoint(save(tmp_path / "a.pt", detector))
    assert set(torch.serialization.get_safe_globals()) == before


# -- what is no checkpoint ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello\n", "a text file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"\x08\x0a\x12\x07pytorch\x1a\x052.7.0:\x00", "an ONNX export"),
        (pickle.dumps({"model": 1}), "a pickle"),
        (bytes(range(256)), "no format of torch"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "yolo11n.pt"
    path.write_bytes(content)
    assert says in refused(path).message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.pt").message
    assert "is a folder" in refused(tmp_path).message


@pytest.mark.parametrize("keep", [0.0001, 0.5, 0.999])
def test_truncated(detector: Any, tmp_path: Path, keep: float) -> None:
    path = save(tmp_path / "cut.pt", detector)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert "damaged" in refused(path).message


def test_damaged_inside(detector: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "bent.pt", detector)
    rewrite(path, lambda data: data[: len(data) // 2])
    assert "cannot be read as a checkpoint" in refused(path).message


def test_other_archives(detector: Any, tmp_path: Path) -> None:
    path = tmp_path / "some.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "zip archive" in refused(path).message
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("some/constants.pkl", b"")
    assert "TorchScript" in refused(path).message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda m: m.state_dict(), "tensors only"),
        (lambda m: {"model": m.state_dict(), "epoch": 3}, "tensors only"),
        (lambda _: {"model": None, "epoch": 3}, "holds no model"),
        (lambda _: [1, 2], "holds no model"),
        (lambda m: {"model": m.model}, "holds a Sequential"),
    ],
)
def test_contents_without_a_detector(
    detector: Any, tmp_path: Path, content: Callable[[Any], Any], says: str
) -> None:
    torch.save(content(detector), tmp_path / "odd.pt")
    assert says in refused(tmp_path / "odd.pt").message


def test_other_tasks_are_named(tmp_path: Path) -> None:
    with torch.no_grad():
        model = YOLO("yolov8n-pose.yaml").model
    assert "PoseModel" in refused(save(tmp_path / "pose.pt", model)).message


def test_other_repositories_are_named(detector: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "v5.pt", detector)
    rewrite(path, lambda data: data.replace(b"ultralytics.nn.tasks\n", b"models.yolo\n"))
    assert "YOLOv5" in refused(path).message
    assert "YOLOv5" in refused(path, trust=True).message


def test_a_layer_of_a_newer_release_is_named(detector: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "new.pt", detector)
    rewrite(path, lambda data: data.replace(b".block\nC3k2\n", b".block\nC9k9\n"))
    error = refused(path)
    assert "ultralytics.nn.modules.block.C9k9" in error.message
    assert "upgrade" in error.hint


def test_values_that_are_no_numbers(detector: Any, tmp_path: Path) -> None:
    model = build_model(detector.yaml, "detect", 2)
    with torch.no_grad():
        model.model[1].conv.weight[0, 0, 0, 0] = float("nan")
    assert "model.1.conv.weight" in refused(save(tmp_path / "nan.pt", model)).message


def test_names_that_do_not_fit(detector: Any, tmp_path: Path) -> None:
    model = build_model(detector.yaml, "detect", 2)
    model.names = {0: "a", 1: "b", 2: "c"}
    assert "2 classes but names for 3" in refused(save(tmp_path / "n.pt", model)).message


def test_a_model_that_lacks_parts(tmp_path: Path) -> None:
    model = SegmentationModel.__new__(SegmentationModel)
    torch.nn.Module.__init__(model)
    model.yaml = model_config("yolo11n-seg", "segment")
    assert "lacks" in refused(save(tmp_path / "bare.pt", model)).message
