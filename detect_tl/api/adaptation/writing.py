"""The run folder of an adapted model, which every command takes like one that was trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.adaptation.plan import AdaptPlan
from detect_tl.api.adaptation.trying import AS_IT_WAS, Tried

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig


def write_run(out: Path, plan: AdaptPlan, chosen: Tried, document: Mapping[str, Any]) -> None:
    """Write the folder, whole or not at all.

    Thresholds belong to the scores of one model: they are those of the labels where there are any;
    without labels only a model that stayed as it was keeps its own.
    """
    from detect_tl.core.files import atomic_folder, place_file, write_json
    from detect_tl.training.folder import RunFolder

    with atomic_folder(out) as folder:
        run = RunFolder(folder)
        run.best.parent.mkdir()
        place_file(chosen.checkpoint, run.best)
        place_file(chosen.checkpoint, run.last)
        run.write_description(_config(out, plan), _dataset(plan), plan.device, plan.source.sha256)
        write_json(run.adaptation, document)
        evaluation = chosen.evaluation
        if evaluation is not None:
            write_json(folder / "metrics.json", {**evaluation.as_json(), "model": str(out)})
            assert evaluation.analysis is not None, "what has no objects was refused before"
            write_json(run.thresholds, evaluation.analysis.thresholds())
        elif chosen.name == AS_IT_WAS and plan.thresholds:
            write_json(run.thresholds, dict(plan.thresholds))


def _config(out: Path, plan: AdaptPlan) -> TrainConfig:
    """The settings of the self-training, as a run tells them."""
    from detect_tl.training.adaptation.steps import student_config

    return student_config(
        data=_measured_on(plan),
        weights=str(plan.source.path.resolve()),
        task=plan.source.task,
        freeze=plan.freeze,
        epochs=max(plan.rounds * plan.epochs, 1),
        imgsz=plan.imgsz,
        batch=plan.batch,
        lr=plan.lr,
        seed=plan.seed,
        device=plan.device,
        trust=plan.trust,
        out=out,
    )


def _measured_on(plan: AdaptPlan) -> Path:
    """What `eval` takes by itself: the labels given, else what the model was trained on."""
    if plan.data is not None:
        return plan.data.resolve()
    return plan.run.dataset().resolve() if plan.run is not None else plan.images.resolve()


def _dataset(plan: AdaptPlan) -> dict[str, Any]:
    return {
        "path": str(_measured_on(plan)),
        "source": str(plan.images.resolve()),
        "sha256": plan.fingerprint()["images"],
        "names": list(plan.source.names),
        "images": {"unlabelled": len(plan.learned) + len(plan.judged)},
        "task": plan.source.task,
    }
