"""Learning from another model: what it says of the same pictures."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.models.checkpoint import Checkpoint
from detect_tl.training.config import TrainConfig
from detect_tl.training.keeping import kept_classes
from detect_tl.training.lesson import Lessons, Teacher
from detect_tl.training.objective import extend, parts_of
from tests.training.test_coverage import SIDE, batch_of, model_of

NAMES = ("cat", "dog", "cow")


def teacher_of(model: Any, names: tuple[str, ...] = NAMES, **more: Any) -> Teacher:
    checkpoint = Checkpoint(Path("teacher.pt"), deepcopy(model), "detect", names, {}, {}, {})
    return Teacher(checkpoint, **more)


def sure(model: Any) -> Any:
    """The model, sure of objects here and there, of their boxes and outlines."""
    head = model.model[-1]
    for name in ("cv2", "cv3", "cv4", "one2one_cv2", "one2one_cv3"):
        for level in getattr(head, name, ()):
            level[-1].bias.data.normal_(0, 2)
    return model.eval()


def answers(model: Any, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The raw answers of an evaluated model, of each of its heads."""
    found = model(batch["img"])[1]
    return [found["one2many"], found["one2one"]] if "one2one" in found else [found]


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_a_lesson_is_computed_in_float32_whatever_precision_surrounds_it(task: Any) -> None:
    model = sure(model_of("yolo11n", task))
    other = sure(deepcopy(model))
    batch = batch_of(task)
    lessons = Lessons([teacher_of(other)], NAMES)
    part = next(parts_of(model.init_criterion()))
    preds = answers(model, batch)[0]
    plain = lessons(part, preds, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = lessons(part, preds, batch)
    assert plain.abs().sum() > 0
    assert torch.equal(plain, mixed)


@pytest.mark.parametrize(
    ("name", "task"), [("yolo11n", "detect"), ("yolo26n", "detect"), ("yolo11n", "segment")]
)
def test_a_model_has_nothing_to_learn_from_itself(name: str, task: Any) -> None:
    model, batch = sure(model_of(name, task)), batch_of(task)
    lessons = Lessons([teacher_of(model)], NAMES)
    part = next(parts_of(model.init_criterion()))
    preds = answers(model, batch)[0]
    loss = lessons(part, preds, batch)
    assert loss.shape == (len(part.loss_names),)
    assert loss.abs().max() < 1e-3
    loss.sum().backward()
    gradient = model.model[-1].cv3[0][-1].weight.grad
    assert gradient is not None
    assert gradient.abs().max() < 1e-4


@pytest.mark.parametrize(
    ("pupil", "task"), [("yolo11n", "detect"), ("yolo26n", "detect"), ("yolo11n", "segment")]
)
def test_a_lesson_is_learned_part_by_part(pupil: str, task: Any) -> None:
    """Gradient descent on the answers themselves leads to those of the teacher, in every part."""
    batch = batch_of(task)
    model = model_of(pupil, task)
    lessons = Lessons([teacher_of(sure(model_of("yolo11n", task, seed=5)))], NAMES)
    part = next(parts_of(model.init_criterion()))
    preds = answers(model.eval(), batch)[0]
    free = {
        k: v.detach().clone().requires_grad_() if isinstance(v, Tensor) else v
        for k, v in preds.items()
    }
    optimizer = torch.optim.Adam([v for v in free.values() if isinstance(v, Tensor)], lr=0.1)
    before = lessons(part, free, batch).detach()
    for _ in range(40):
        optimizer.zero_grad()
        lessons(part, free, batch).sum().backward()
        optimizer.step()
    after = lessons(part, free, batch).detach()
    taught = before > 0
    assert taught.sum() == (3 if task == "segment" else 2)
    assert (after[taught] < before[taught] / 2).all()
    assert not after[~taught].any()


def test_only_what_both_know_and_what_was_asked_for_is_taught() -> None:
    model, batch = model_of("yolo11n"), batch_of()
    lessons = Lessons([teacher_of(sure(model_of("yolo11n")), only=("dog", "cow"))], ("cow", "x"))
    preds = {
        k: v.detach().requires_grad_() if isinstance(v, Tensor) else v
        for k, v in answers(model.eval(), batch)[0].items()
    }
    lessons(next(parts_of(model.init_criterion())), preds, batch).sum().backward()
    assert preds["scores"].grad[:, 0].any()
    assert not preds["scores"].grad[:, 1:].any()
    with pytest.raises(WeightsError, match=r"teacher\.pt"):
        teacher_of(model).shared(("horse",))


def test_kept_answers_are_those_that_it_would_give_now() -> None:
    teacher, batch = teacher_of(sure(model_of("yolo11n", "segment"))), batch_of("segment")
    kept = Lessons([teacher], NAMES).front(lambda images: {4: images})(batch["img"])
    now = teacher.answers_in({**batch})
    held = teacher.answers_in({**batch, "maps": kept, "img": torch.zeros(2, 3, SIDE, SIDE)})
    assert set(now) == set(held) == {"scores", "boxes", "mask_coefficient", "proto"}
    assert all(torch.equal(now[name], held[name]) for name in now)
    assert torch.equal(kept[4], batch["img"])


def test_two_teachers_are_heard_both_and_by_their_weight() -> None:
    model, batch = model_of("yolo11n").eval(), batch_of()
    part = next(parts_of(model.init_criterion()))
    one, other = sure(model_of("yolo11n")), sure(model_of("yolo11n"))
    other.model[-1].cv3[0][-1].bias.data += 1
    preds = answers(model, batch)[0]

    def lesson(*teachers: Teacher) -> Tensor:
        return Lessons(teachers, NAMES)(part, preds, dict(batch)).detach()

    first = lesson(teacher_of(one))
    second = lesson(teacher_of(other, number=1, weight=0.5))
    both = lesson(teacher_of(one), teacher_of(other, number=1, weight=0.5))
    assert torch.allclose(both, first + second, rtol=1e-4)
    assert not torch.equal(first, second)


def test_the_lesson_is_part_of_the_loss() -> None:
    model, batch = model_of("yolo26n"), batch_of()
    lessons = Lessons([teacher_of(sure(model_of("yolo26n")))], NAMES)
    answer = model.train()(batch["img"])
    plain, _ = model.init_criterion()(answer, batch)
    taught, _ = extend(model.init_criterion(), {}, lessons)(answer, dict(batch))
    assert (taught - plain).sum() > 0


def test_kept_classes_are_all_or_those_named() -> None:
    def kept(asked: str | None) -> tuple[str, ...]:
        config = TrainConfig.parse({"data": "x", "keep_classes": asked})
        return kept_classes(config, NAMES)

    assert kept(None) == ()
    assert kept("all") == kept("coco") == NAMES
    assert kept("cow, cat") == ("cow", "cat")
    with pytest.raises(UsageError, match="horse"):
        kept("horse")
