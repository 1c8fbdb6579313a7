"""A model with two branches answers what both answer, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from detect_tl.core.errors import WeightsError
from detect_tl.models.branch import branched_config, branches, joined
from detect_tl.models.checkpoint import Checkpoint, load_checkpoint
from detect_tl.models.yolo import YOLO, build_model, model_config
from detect_tl.training.oneshot import transferred_model
from tests.training.conftest import write_checkpoint

NEW = ("forklift", "pallet")
FAMILIES = ("yolov8n", "yolo11n", "yolo26n")


@pytest.fixture(scope="module", params=FAMILIES)
def first(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("branch") / f"{request.param}.pt"
    return load_checkpoint(write_checkpoint(path, request.param))


def tuned(first: Checkpoint, names: tuple[str, ...], shared: int) -> Checkpoint:
    """As training leaves it: other numbers in every layer behind the shared ones."""
    model, _ = transferred_model(first, names, task="detect", seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if int(name.split(".")[1]) >= shared and ".dfl." not in name:
                values.add_(torch.randn(values.shape, generator=generator), alpha=0.02)
    path = Path("tuned.pt")
    return replace(first, path=path, model=model, names=names, yaml=model.yaml)


def raw(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """(N, bins of boxes + classes, anchors) logits, also of a head that finds every object once."""
    with torch.no_grad():
        found = model(images)[1]
    found = found.get("one2one", found)
    return torch.cat([found["boxes"], found["scores"]], dim=1)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """But for the order in which sums are made, which depends on how many rows a layer has."""
    return torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shared", [1, 5, 9, "neck"])
def test_it_answers_what_both_answer(first: Checkpoint, shared: int | str) -> None:
    count = len(first.model.model) - 1 if shared == "neck" else int(shared)
    second = tuned(first, (*first.names, *NEW), count)
    both = joined(first, second, shared=count, learned=NEW)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    answers, old, new = (raw(m, images) for m in (both, first.model, second.model))
    anchors = old.shape[2]
    boxes = old.shape[1] - len(first.names)
    assert answers.shape == (2, boxes + len(first.names) + len(NEW), 2 * anchors)
    assert same(answers[:, :-2, :anchors], old)
    assert same(answers[:, :boxes, anchors:], new[:, :boxes])
    assert same(answers[:, -2:, anchors:], new[:, -2:])
    assert answers[:, -2:, :anchors].sigmoid().max() < 1e-5
    assert answers[:, boxes:-2, anchors:].sigmoid().max() < 1e-5
    assert (branches(both), branches(first.model)) == (2, 1)


def test_a_class_that_was_learned_anew_is_answered_by_the_new_layers(first: Checkpoint) -> None:
    names = ("class 7", "class 3", "forklift")  # some of the old ones, in an order of their own
    second = tuned(first, names, 5)
    both = joined(first, second, shared=5, learned=("class 3", "forklift"))
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    answers, old, new = (raw(m, images) for m in (both, first.model, second.model))
    anchors = old.shape[2]
    boxes = old.shape[1] - len(first.names)
    assert same(answers[:, boxes, :anchors], old[:, boxes + 7])
    assert same(answers[:, boxes + 1 :, anchors:], new[:, boxes + 1 :])
    assert answers[:, boxes + 1 :, :anchors].sigmoid().max() < 1e-5
    assert answers[:, boxes, anchors:].sigmoid().max() < 1e-5


def test_it_can_be_joined_again(first: Checkpoint) -> None:
    """A third branch keeps the two that there are."""
    second = tuned(first, (*first.names, *NEW), 5)
    model = joined(first, second, shared=5, learned=NEW)
    both = replace(first, model=model, names=second.names, yaml=model.yaml)
    third = tuned(both, (*both.names, "crate"), 3)
    all_ = joined(both, third, shared=3, learned=("crate",))
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    answers, before = raw(all_, images), raw(both.model, images)
    assert same(answers[:, :-1, : before.shape[2]], before)


def test_its_configuration_builds_it(first: Checkpoint) -> None:
    """So it can be trained on, by this package and by Ultralytics."""
    built = build_model(branched_config(first.yaml, 5), "detect", 80)
    second = tuned(first, (*first.names, *NEW), 5)
    both = joined(first, second, shared=5, learned=NEW)
    assert [layer.f for layer in built.model] == [layer.f for layer in both.model]
    assert [layer.i for layer in both.model] == list(range(len(both.model)))
    again = model_config(both.yaml, "detect")
    assert [layer.f for layer in build_model(again, "detect", 82).model] == [
        layer.f for layer in both.model
    ]


def test_plain_ultralytics_finds_what_both_find(first: Checkpoint, tmp_path: Path) -> None:
    second = tuned(first, (*first.names, *NEW), 5)
    model = joined(first, second, shared=5, learned=NEW)
    torch.save({"model": model, "ema": None, "epoch": -1}, tmp_path / "both.pt")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    loaded = YOLO(tmp_path / "both.pt")
    assert loaded.names == dict(enumerate(second.names))
    loaded.model.eval()
    assert torch.equal(raw(loaded.model, images), raw(model, images))
    assert load_checkpoint(tmp_path / "both.pt").trainable


def test_what_cannot_be_joined_is_refused(first: Checkpoint) -> None:
    second = tuned(first, (*first.names, *NEW), 5)
    for shared in (0, 6, len(first.model.model)):
        with pytest.raises(WeightsError, match="does not share"):
            joined(first, second, shared=shared, learned=NEW)
    with pytest.raises(WeightsError, match="segmenter"):
        joined(replace(first, task="segment"), second, shared=5, learned=NEW)
