"""A run without training: what the weights know, and classes imprinted from their objects."""

from __future__ import annotations

import time
from typing import Any

import torch

from detect_tl.core.files import read_json, write_json
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress
from detect_tl.models.apply import apply_plan, match_class_branch, shapes
from detect_tl.models.checkpoint import Checkpoint
from detect_tl.models.yolo import build_model, model_config, quiet
from detect_tl.training.config import TrainConfig
from detect_tl.training.cost import peak_gpu_memory, peak_memory
from detect_tl.training.folder import RunFolder
from detect_tl.training.imprint import TO_USE, imprint
from detect_tl.training.pictures import Pictures
from detect_tl.training.precision import use_all_cores
from detect_tl.training.saving import packed, write_bytes
from detect_tl.transfer.kin import Kin, read_kin
from detect_tl.transfer.plan import TransferPlan, plan_transfer


def imprint_run(
    run: RunFolder, config: TrainConfig, source: Checkpoint, progress: Progress
) -> float:
    """Write the checkpoint of a run of no epochs into its folder; return the seconds it took.

    Rows of classes that the weights know by name are theirs; those of new ones are computed, see
    `imprint`. Boxes are found as the weights find them.
    """
    began = time.perf_counter()
    names = tuple(read_json(run.path / "dataset.json")["names"])
    assert config.task != "auto", "the task is resolved before there is a model"
    model, plan = transferred_model(
        source, names, task=config.task, seed=config.seed, kin=read_kin(config.kin)
    )
    device = torch_device(config.device)
    new = plan.new_classes() if config.imprint else []
    if new:
        with progress.step("Looking at objects"):
            pictures = Pictures.of(run.dataset(), "train", config.imgsz)
            settings = {"imgsz": config.imgsz, "device": device, "seed": config.seed}
            seen = imprint(model.to(device), pictures, new, **settings, rule=TO_USE)
        plan = plan.imprinted({names[label]: count for label, count in seen.items()})
        for label in (label for label, count in seen.items() if not count):
            progress.say(f"no training picture shows {names[label]}, so it is never detected")
    for line in plan.summary():
        progress.say(line)
    write_json(run.transfer, plan.as_json())
    kept = {tensor.name for tensor in plan.of("copied")}
    content = packed(model.cpu(), exact=kept, facts={"train_args": _arguments(config)})
    run.best.parent.mkdir(exist_ok=True)
    write_bytes(run.last, content)
    seconds = time.perf_counter() - began
    took = {"seconds": seconds, "memory": peak_memory(), "gpu_memory": peak_gpu_memory()}
    write_json(run.cost, took)
    write_bytes(run.best, content)  # comes last: with it the run has finished
    return seconds


def transferred_model(
    source: Checkpoint, names: tuple[str, ...], *, task: Task, seed: int, kin: Kin | None = None
) -> tuple[Any, TransferPlan]:
    """A model for classes of these names, filled from a source, in evaluation mode."""
    torch.manual_seed(seed)
    model: Any = build_model(model_config(source.yaml, task), task, len(names))
    model.names = dict(enumerate(names))
    with quiet():
        match_class_branch(model, source.model)
        state = source.model.state_dict()
        plan = plan_transfer(
            shapes(state),
            shapes(model.state_dict()),
            source_names=source.names,
            target_names=names,
            kin=kin,
        )
        apply_plan(plan, state, model)
    return model.eval(), plan


def _arguments(config: TrainConfig) -> dict[str, Any]:
    """What a checkpoint says of how it was made, as others read it."""
    return {"task": config.task, "imgsz": config.imgsz, "seed": config.seed, "epochs": 0}


def torch_device(name: str) -> torch.device:
    """The device of a name as users give it; a CPU with all of its cores."""
    if not name:
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    device = torch.device(f"cuda:{name}" if name.isdigit() else name)
    if device.type == "cpu":
        use_all_cores()
    return device
