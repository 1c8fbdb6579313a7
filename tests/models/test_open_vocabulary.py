"""Open-vocabulary models are told names by the code that tells real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from detect_tl.core.errors import WeightsError
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.models.open_vocabulary import encoder_for, load_open_vocabulary, tell_names
from detect_tl.models.torch_backend import TorchBackend
from detect_tl.models.yolo import quiet
from detect_tl.transfer.encoders import ENCODERS, TextEncoder, encoder_of
from detect_tl.transfer.manifest import find, open_vocabulary
from tests.models.open_models import install_clip, mobileclip, open_checkpoint

NAMES = ["forklift", "yellow helmet", "crane"]


@pytest.fixture(scope="module")
def yoloe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_checkpoint(tmp_path_factory.mktemp("weights"), "yoloe-11s-seg")


@pytest.fixture
def _clip(monkeypatch: pytest.MonkeyPatch) -> None:
    install_clip(monkeypatch)


def told(path: Path, names: list[str], out: Path) -> Path:
    """The checkpoint of a model that was told names."""
    loaded = load_open_vocabulary(path)
    encoder = encoder_for(loaded)
    file = out.with_name(encoder.file)
    if encoder.kind == "clip":
        file.write_bytes(b"read by the stand-in of the package clip")
    else:
        mobileclip(out.parent, encoder.file)
    tell_names(loaded, names, encoder, file, out)
    return out


def answers(path: Path, images: np.ndarray) -> list[np.ndarray]:
    return TorchBackend(path, imgsz=64).infer(images)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)


@pytest.mark.usefixtures("_clip")
def test_it_answers_as_ultralytics_does(
    yoloe: Path, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = told(yoloe, NAMES, tmp_path / "told.pt")
    checkpoint = load_checkpoint(ours)
    assert (checkpoint.names, checkpoint.task) == (tuple(NAMES), "segment")
    boxes, prototypes = answers(ours, images)
    assert boxes[:, 4:7].std() > 0.05, "scores that are all alike would prove nothing"
    assert boxes.shape == (2, 4 + 3 + 32, 84)

    from ultralytics import YOLOE

    monkeypatch.chdir(tmp_path)  # where Ultralytics looks for mobileclip_blt.ts first
    with quiet():
        theirs = YOLOE(str(yoloe))
        theirs.set_classes(NAMES)
    with torch.inference_mode():
        (want, protos), _ = theirs.model.float().eval()(torch.from_numpy(images))
    assert np.allclose(boxes, want.numpy(), atol=1e-4)
    assert np.allclose(prototypes, protos.numpy(), atol=1e-5)


@pytest.mark.usefixtures("_clip")
def test_names_are_what_it_looks_for(yoloe: Path, images: np.ndarray, tmp_path: Path) -> None:
    (first, _), (turned, _) = (
        answers(told(yoloe, names, tmp_path / "t.pt"), images) for names in (NAMES, NAMES[::-1])
    )
    scores, other = first[:, 4:7], turned[:, 4:7]
    assert np.allclose(scores, other[:, ::-1], rtol=1e-4)
    assert not np.allclose(scores[:, 0], scores[:, 1], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("_clip")
@pytest.mark.parametrize("name", ["yoloe-26n-seg", "yolov8s-worldv2"])
def test_every_family(name: str, images: np.ndarray, tmp_path: Path) -> None:
    path = open_checkpoint(tmp_path, name)
    assert encoder_for(load_open_vocabulary(path)) == encoder_of(find(name))
    checkpoint = load_checkpoint(told(path, NAMES, tmp_path / "told.pt"))
    assert checkpoint.names == tuple(NAMES)
    assert checkpoint.task == find(name).task
    assert answers(checkpoint.path, images)[0].shape[:2] == (
        2, 4 + 3 + (32 if checkpoint.task == "segment" else 0)
    )  # fmt: skip


def test_one_that_was_not_told_is_no_detector(yoloe: Path) -> None:
    with pytest.raises(WeightsError, match="must be told what to look for") as caught:
        load_checkpoint(yoloe)
    assert "--zero-shot" in caught.value.hint


def test_a_detector_cannot_be_told(repository: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be told names"):
        load_open_vocabulary(repository / "weights" / "starter.pt")


@pytest.mark.slow
def test_the_first_yolo_world_is_refused_before_it_fails(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="first version"):
        load_open_vocabulary(open_checkpoint(tmp_path, "yolov8s-world"))


@pytest.mark.usefixtures("_clip")
def test_an_encoder_that_is_none(yoloe: Path, tmp_path: Path) -> None:
    file = tmp_path / "mobileclip_blt.ts"
    file.write_bytes(b"not TorchScript")
    loaded = load_open_vocabulary(yoloe)
    with pytest.raises(WeightsError, match="cannot be read as a text encoder") as caught:
        tell_names(loaded, NAMES, encoder_for(loaded), file, tmp_path / "told.pt")
    assert caught.value.path == file
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_files_are_those_that_ultralytics_publishes() -> None:
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    for entry in open_vocabulary():
        assert entry.file in GITHUB_ASSETS_NAMES
        encoder = encoder_of(entry)
        assert encoder.kind == "clip" or encoder.file in GITHUB_ASSETS_NAMES
        assert entry.url.startswith("https://")
        assert encoder.url.endswith(f"/{encoder.file}")


def test_a_file_of_a_known_checksum_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECT_TL_WEIGHTS", str(tmp_path))
    encoder = ENCODERS["clip"]
    (tmp_path / encoder.file).write_bytes(b"something else")
    with pytest.raises(WeightsError, match="not the published ViT-B-32"):
        encoder.find_here()
    unknown = TextEncoder("clip", encoder.file, encoder.url)
    assert unknown.find_here() == tmp_path / encoder.file
