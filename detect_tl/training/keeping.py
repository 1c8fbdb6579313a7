"""Classes that the weights know, and that a model goes on knowing while it learns others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.files import read_json
from detect_tl.core.model_spec import Task
from detect_tl.models.branch import branches, joined
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.saving import packed, write_bytes
from detect_tl.transfer.stages import PlannedStage, shared_layers

# What `--keep-classes` may be beside names: all that the weights know. People call it by the set.
_EVERY = ("all", "coco")


def kept_classes(config: TrainConfig, source_names: Sequence[str]) -> tuple[str, ...]:
    """The classes of the weights that the model is to go on knowing.

    source_names: of the weights. Raises UsageError for a name that the weights do not know.
    """
    if not config.keep_classes:
        return ()
    if len(config.keep_classes) == 1 and config.keep_classes[0] in _EVERY:
        return tuple(source_names)
    for name in config.keep_classes:
        if name not in source_names:
            raise UsageError(
                f"the weights know no class {name!r} that could be kept",
                hint=did_you_mean(name, source_names),
            )
    return tuple(config.keep_classes)


def check_branching(config: TrainConfig, task: Task, stages: Sequence[PlannedStage]) -> list[str]:
    """What is to be said of a run whose kept classes have layers of their own.

    Raises UsageError where they cannot have them.
    """
    if not config.branches:
        return []
    if task == "segment":
        raise UsageError(
            "a segmenter makes its masks from one map only, so kept classes cannot have layers of"
            " their own",
            hint="Keep them with --keep-by distil, or train with --task detect.",
        )
    shared = shared_layers(planned.layers for planned in stages)
    if not shared:
        raise UsageError(
            "kept classes have layers of their own behind those that stay frozen, and none does",
            hint="Freeze one layer at least, or keep classes with --keep-by distil.",
        )
    return [f"kept classes have their own layers behind the first {shared}, which are shared"]


def join_kept(run: RunFolder, config: TrainConfig) -> None:
    """Put the layers of the weights that a run began with beside those of its best checkpoint.

    Where that has been done, nothing is.
    """
    first = load_checkpoint(Path(config.weights), trust=config.trust)
    best = load_checkpoint(run.best)
    if branches(best.model) > branches(first.model):
        return
    shared = shared_layers(stage["frozen"] for stage in read_json(run.strategy)["stages"])
    learned = read_json(run.path / "dataset.json")["learned"]
    model = joined(first, best, shared=shared, learned=learned)
    facts = {**best.facts, "train_args": dict(best.train_args)}
    # every bit of the old layers stays, and those of the new ones have been rounded already
    write_bytes(run.best, packed(model, exact=set(model.state_dict()), facts=facts))
