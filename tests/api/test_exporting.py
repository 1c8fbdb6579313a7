"""What an export is measured on, and what it says of its run."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from detect_tl import api
from detect_tl.api.exporting import _facts, _target
from detect_tl.api.gate_data import gate_data
from detect_tl.api.model_files import ModelFiles
from detect_tl.core.errors import UsageError
from detect_tl.core.files import find_images, sha256_files, write_json
from detect_tl.core.progress import Silent
from detect_tl.training.folder import RunFolder

SHOW = Silent()
BARE = ModelFiles("m", Path("m.pt"), None, None)


@pytest.fixture(scope="module")
def sample(repository: Path) -> Path:
    return repository / "datasets" / "sample" / "images"


@pytest.fixture(scope="module")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder as training leaves it, without the training."""
    folder = tmp_path_factory.mktemp("runs")
    api.convert(sample, folder / "data", split=(0.5, 0.5, 0.0))
    run = RunFolder(folder / "mine")
    write_json(run.path / "config.json", {})
    write_json(run.path / "dataset.json", {"path": str(folder / "data"), "sha256": "abc"})
    run.best.parent.mkdir()
    run.best.write_bytes(b"weights")
    write_json(run.thresholds, {"größe": 0.5})
    return run


def test_annotations_give_labels(sample: Path) -> None:
    data = gate_data(BARE, sample, SHOW)
    assert data.labelled is not None
    assert data.labelled.split == "the data"
    assert list(data.images) == [path for _, path in data.labelled.images]
    assert set(data.images) <= set(find_images(sample))
    assert len(data.labelled.truth.objects) > len(data.images)
    assert data.calibration == data.images


def test_a_run_is_measured_on_val_and_calibrated_on_train(run: RunFolder) -> None:
    data = gate_data(ModelFiles("m", run.best, None, run), None, SHOW)
    assert data.labelled is not None
    assert data.labelled.split == "val"
    assert {path.parent.name for path in data.images} == {"val"}
    assert {path.parent.name for path in data.calibration} == {"train"}
    ids = {image.id for image in data.labelled.truth.images}
    assert {number for number, _ in data.labelled.images} == ids


def test_mere_pictures_are_not_labelled(sample: Path, tmp_path: Path) -> None:
    for path in find_images(sample)[:3]:
        shutil.copy(path, tmp_path)
    data = gate_data(BARE, tmp_path, SHOW)
    assert (len(data.images), data.labelled) == (3, None)
    assert "only the pictures of" in data.note
    assert "no annotations" in data.note


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no images in"):
        gate_data(BARE, tmp_path, SHOW)


def test_nothing_at_hand_leaves_a_few_photos() -> None:
    data = gate_data(BARE, None, SHOW)
    assert data.labelled is None
    assert {path.name for path in data.images} == {"bus.jpg", "zidane.jpg"}


def test_the_file_names_its_run(run: RunFolder) -> None:
    facts = _facts(ModelFiles("m", run.best, None, run))
    parts = [run.path / "config.json", run.path / "dataset.json", run.best]
    assert facts["run_sha256"] == sha256_files(parts, run.path)
    assert facts["dataset_sha256"] == "abc"
    assert orjson.loads(facts["thresholds"]) == {"größe": 0.5}
    assert _facts(BARE) == {}


@pytest.mark.parametrize(
    ("out", "wanted", "name"),
    [
        (None, None, "m.onnx"),
        (None, "openvino", "m.xml"),
        (Path("a/b.xml"), None, "b.xml"),
        (Path("b.onnx"), "onnx", "b.onnx"),
    ],
)
def test_the_format_is_that_of_the_name(out: Path | None, wanted: str | None, name: str) -> None:
    assert _target(BARE, Path("m.pt"), out, wanted).name == name


@pytest.mark.parametrize(
    ("out", "wanted", "says"),
    [
        (Path("b.onnx"), "openvino", "no name for openvino"),
        (Path("b.xml"), "onnx", "no name for onnx"),
        (None, "opnvino", "unknown format"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(out: Path | None, wanted: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _target(BARE, Path("m.pt"), out, wanted)
