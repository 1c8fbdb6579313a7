"""From names to results: what a model covers, and what an open-vocabulary model is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

from detect_tl import api
from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.progress import Silent
from detect_tl.export.gate_images import packaged_photos
from tests.models.open_models import install_clip, mobileclip, open_checkpoint
from tests.runtime.colour_model import colour_model
from tests.runtime.conftest import picture

REAL = os.environ.get("DETECT_TL_WEIGHTS")
"""Of the person who runs the tests; the tests themselves have a folder of their own."""

COVERED = """
import sys
from detect_tl import api
result = api.predict(sys.argv[1], sys.argv[2], zero_shot=["reds"], conf=0.6)
assert not {"torch", "ultralytics"} & set(sys.modules)
print(result.objects)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_model(tmp_path_factory.mktemp("model") / "colours.onnx")


@pytest.fixture(scope="module")
def yoloe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_checkpoint(tmp_path_factory.mktemp("yoloe"), "yoloe-11s-seg")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    pixels = picture(64, 64, (8, 8, 16, 16, "red"), (40, 40, 48, 48, "green"))
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights, no network, and nothing of this checkout."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("DETECT_TL_WEIGHTS", str(folder))
    monkeypatch.setenv("DETECT_TL_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return folder


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_covered_names_are_said_shown_and_kept(model: Path, image: Path) -> None:
    said = Said()
    result = api.predict(model, image, zero_shot=["Red", " green "], conf=0.6, progress=said)
    assert result.objects == {"Red": 1, "green": 1}
    told = ["Red: red, a class of colours.onnx", "green: green, a class of colours.onnx"]
    assert said.lines[:2] == told
    assert [(f.code, f.severity, f.message) for f in result.findings] == [
        ("zero-shot", "info", line) for line in told
    ]
    assert not result.failed
    by_name = api.predict(model, image, zero_shot="Red,green", conf={"Red": 0.6, "green": 1})
    assert by_name.objects == {"Red": 1}


def test_covered_names_load_no_torch(model: Path, image: Path) -> None:
    command = [sys.executable, "-c", COVERED, model, image]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'reds': 1}\n"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"zero_shot": [" "]}, "no name to look for"),
        ({"zero_shot": ["red"], "conf": "auto"}, "not for names of your own"),
        ({"zero_shot": ["red"], "classes": ["green"]}, "no class 'green'"),
    ],
)
def test_settings_that_cannot_be(
    model: Path, image: Path, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        api.predict(model, image, **settings)


def test_what_is_missing_is_named_with_its_source_and_its_place(
    model: Path, image: Path, tmp_path: Path
) -> None:
    said = Said()
    with pytest.raises(WeightsError) as caught:
        api.predict(model, image, zero_shot=["red", "crane"], out=tmp_path / "o", progress=said)
    assert "to find crane, which no class stands for" in caught.value.message
    for name in ("yoloe-11s-seg.pt", "mobileclip_blt.ts"):
        assert name in caught.value.message
        assert f"https://github.com/ultralytics/assets/releases/download/v8.4.0/{name}" in (
            caught.value.hint
        )
    assert str(tmp_path / "weights") in caught.value.hint
    assert "crane: no class of colours.onnx" in said.lines
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_only_what_is_missing_is_named(
    *, model: Path, yoloe: Path, image: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_clip(monkeypatch)
    mobileclip(weights)
    with pytest.raises(WeightsError) as caught:
        api.predict(model, image, zero_shot=["crane"])
    assert caught.value.message.endswith("this machine has no yoloe-11s-seg.pt")
    (weights / "mobileclip_blt.ts").unlink()
    checkpoint = Path(shutil.copy(yoloe, weights))
    with pytest.raises(WeightsError, match="no checksum is known for yoloe-11s-seg"):
        api.predict(model, image, zero_shot=["crane"])
    with pytest.raises(WeightsError) as caught:
        api.predict(model, image, zero_shot=["crane"], open_weights=checkpoint)
    assert caught.value.message.endswith("this machine has no mobileclip_blt.ts")


@pytest.mark.slow
def test_an_open_vocabulary_model_looks_for_the_rest(
    *,
    model: Path,
    yoloe: Path,
    image: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its weights are random, and so is what it finds; but all of its code is run."""
    install_clip(monkeypatch)
    mobileclip(weights)
    shutil.copy(yoloe, weights)
    said = Said()
    asked = {"zero_shot": ["red", "crane"], "conf": 0.6, "trust": True, "backend": "onnxruntime"}
    result = api.predict(model, image, out=tmp_path / "o", save=["images"], progress=said, **asked)
    assert result.objects["red"] == 1
    assert result.objects["crane"] >= 1
    assert result.findings[-1].message.startswith("crane: looked for by yoloe-11s-seg-")
    assert any(line.startswith("telling ") for line in said.lines)
    monkeypatch.delitem(sys.modules, "clip")  # once told, it needs no encoder any more
    again = api.predict(model, image, **asked)
    assert again.objects == result.objects
    alone = api.predict(model, image, **{**asked, "zero_shot": ["crane"]})
    assert list(alone.objects) == ["crane"]


def test_a_detector_of_names(model: Path) -> None:
    with api.detector(model, zero_shot="green,Red", conf=0.6) as detector:
        assert detector.spec.names == ("Red", "green")
        (found,) = detector([picture(64, 64, (8, 8, 16, 16, "red"))])
        assert found.class_id.tolist() == [0]


def _lacking(folder: Path) -> list[str]:
    """What a folder of weights lacks to find names that no class covers."""
    lacking = [n for n in ("yoloe-11s-seg.pt", "mobileclip_blt.ts") if not (folder / n).is_file()]
    return lacking if find_spec("clip") else [*lacking, "clip"]


@pytest.mark.slow
def test_the_weights_of_this_machine_find_what_no_class_stands_for_or_are_named(
    model: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real files at hand they are used; otherwise each that is missing is named."""
    folder = Path(REAL) if REAL else weights
    monkeypatch.setenv("DETECT_TL_WEIGHTS", str(folder))
    (bus,) = [path for path in packaged_photos() if path.name == "bus.jpg"]
    asked = {"zero_shot": "bus wheel,unicorn", "trust": True}
    lacking = _lacking(folder)
    if lacking:
        with pytest.raises(WeightsError) as caught:
            api.predict(model, bus, **asked)
        told = f"{caught.value} {caught.value.hint}"
        assert caught.value.exit_code == 4
        assert [name for name in lacking if name not in told] == []
        return
    result = api.predict(model, bus, **asked)
    assert result.objects.get("bus wheel", 0) >= 1
    assert "unicorn" not in result.objects
