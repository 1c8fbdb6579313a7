"""Adapting a trained model to pictures of another camera, without labels for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.adaptation.plan import AdaptPlan, make_plan
from detect_tl.api.adaptation.trying import AS_IT_WAS, Trial, Tried
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.api.evaluation import Split

ROUNDS = 2
EPOCHS = 4
LR = 5e-4
FREEZE = "backbone"

SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """What was tried, and which model the run folder holds.

    tried: in the order in which it was made, the model as it was first. chosen: of these.
    why: in words. seconds: that this call took.
    """

    run: Path
    plan: AdaptPlan
    tried: tuple[Tried, ...]
    chosen: Tried
    why: str
    seconds: float

    @property
    def adapted(self) -> bool:
        """False where the model was kept as it was."""
        return self.chosen.name != AS_IT_WAS

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "adapted": self.adapted,
            "chosen": self.chosen.name,
            "why": self.why,
            "plan": self.plan.as_json(),
            "tried": [each.as_json() for each in self.tried],
            "seconds": round(self.seconds, 1),
        }


def adapt_plan(
    model: str | Path,
    images: str | Path,
    *,
    data: Path | None = None,
    split: Split | None = None,
    rounds: int = ROUNDS,
    epochs: int = EPOCHS,
    lr: float = LR,
    batch: int | None = None,
    freeze: Any = FREEZE,
    imgsz: int | None = None,
    seed: int = 0,
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
) -> AdaptPlan:
    """What `adapt` would do with the same settings. Nothing is computed and nothing written.

    data, split: labelled pictures of the new camera, to judge by. rounds: of self-training.
    epochs, lr, batch, freeze: of a round. imgsz: None: the model's own.
    Raises what `adapt` raises for what cannot be used.
    """
    return make_plan(
        model,
        Path(images),
        progress or Silent(),
        data=data,
        split=split,
        rounds=rounds,
        epochs=epochs,
        lr=lr,
        batch=batch,
        freeze=freeze,
        imgsz=imgsz,
        seed=seed,
        device=device,
        trust=trust,
    )


def adapt(
    model: str | Path,
    images: str | Path,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> AdaptResult:
    """Make a model fit unlabelled pictures, and keep it only where that shows.

    First the statistics of BatchNorm are estimated on the pictures. Then a mean teacher labels
    them, as far as it is sure, and a student learns from that on strongly changed pictures; the
    teacher moves towards the student, `rounds` times. Every model on the way is judged: on `data`,
    labelled pictures of the new camera, the best one is kept, which may be the one as it was.
    Without labels a model counts as better where it surely agrees more with itself between a
    picture and its mirror image, see `detect_tl.evaluation.agreement`.

    model: run folder, .pt or name of weights; it is not touched. images: folder of pictures.
    out: new run folder; None: that of the model with "-adapted". It holds the chosen model and
    `adaptation.json`. What is computed on the way lies beside it until all is done, so that the
    same call goes on after an interruption.
    settings: as for `adapt_plan`.

    Raises UsageError for a folder `out` that exists, DataError for too few pictures, WeightsError
    for a model that cannot be trained.
    """
    from detect_tl.core.files import refuse_existing

    show, began = progress or Silent(), time.perf_counter()
    plan = adapt_plan(model, images, progress=show, **settings)
    target = Path(out) if out is not None else _beside(plan)
    refuse_existing(target)
    for line in plan.summary():
        show.say(line)
    trial = Trial(plan, _work_folder(target, plan, show), show)
    tried = trial.run()
    chosen = trial.best()
    seconds = time.perf_counter() - began
    result = AdaptResult(target, plan, tuple(tried), chosen, _why(plan, tried, chosen), seconds)
    _finish(result, trial.folder)
    return result


def work_folder(out: Path) -> Path:
    """Where an adaptation keeps what it computes until it is done."""
    return out.with_name(f"{out.name}.unfinished")


def _beside(plan: AdaptPlan) -> Path:
    from detect_tl.core.files import unused_folder

    if plan.run is not None:
        return unused_folder(plan.run.path.with_name(f"{plan.run.path.name}-adapted"))
    return unused_folder(Path("runs") / f"{plan.source.path.stem}-adapted")


def _work_folder(out: Path, plan: AdaptPlan, progress: Progress) -> Path:
    """The folder to work in: a new one, or that of the same adaptation when it was interrupted."""
    from detect_tl.core.files import atomic_folder, read_json, write_json
    from detect_tl.training.beginning import check_device

    check_device(plan.device)
    folder, wanted = work_folder(out), plan.fingerprint()
    if not folder.exists():
        with atomic_folder(folder) as scratch:
            write_json(scratch / SETTINGS, wanted)
        progress.say(f"until all is done, steps are kept in {folder}: repeat the command to go on")
    elif read_json(folder / SETTINGS) != wanted:
        raise UsageError(
            f"{folder} belongs to an unfinished adaptation of other pictures or settings",
            hint="Remove it, or name another --out.",
        )
    return folder


def _why(plan: AdaptPlan, tried: list[Tried], chosen: Tried) -> str:
    if plan.data is not None:
        first = tried[0].score or 0.0
        if chosen is tried[0]:
            return f"nothing that was tried is better on the labels than {first:.3f}"
        return f"mAP50-95 {chosen.score or 0.0:.3f} on the labels, {first:.3f} as it was"
    if chosen.judgement is None:
        return "no labels are given, and nothing that was tried is surely better without them"
    return chosen.judgement.reason


def _finish(result: AdaptResult, work: Path) -> None:
    import shutil

    from detect_tl.api.adaptation.writing import write_run

    write_run(result.run, result.plan, result.chosen, result.as_json())
    shutil.rmtree(work)
