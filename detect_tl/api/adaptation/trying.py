"""Every model that an adaptation comes by, and what can be said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.adaptation.plan import AdaptPlan
from detect_tl.core.errors import DataError
from detect_tl.core.progress import BarsOnly, Progress
from detect_tl.core.words import counted

if TYPE_CHECKING:
    from detect_tl.api.adaptation.answers import Answers
    from detect_tl.api.evaluation import EvalResult
    from detect_tl.evaluation.agreement import Agreement, Judgement
    from detect_tl.evaluation.compare import Difference

AS_IT_WAS = "as it was"
STATISTICS = "statistics"

_RESAMPLES = 400  # for the interval of a difference; every model is evaluated


@dataclass(frozen=True, slots=True)
class Tried:
    """One model.

    told: how it came about. agreement: on the judged pictures. judgement: of that, against the
    model as it was. evaluation: on labels, where there are any; difference: likewise.
    """

    name: str
    checkpoint: Path
    told: dict[str, Any]
    agreement: Agreement
    judgement: Judgement | None = None
    evaluation: EvalResult | None = None
    difference: Difference | None = None

    @property
    def score(self) -> float | None:
        """mAP50-95 on the labels."""
        return None if self.evaluation is None else self.evaluation.metrics.main.map50_95

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **self.told,
            **self.agreement.as_json(),
            "judgement": self.judgement.as_json() if self.judgement else None,
            "mAP50-95": self.score,
            "against_as_it_was": self.difference.as_json() if self.difference else None,
        }


Preference = Callable[[Tried, Tried], bool]
"""Whether the first of two models is to be preferred to the second, which came before it."""


def by_labels(new: Tried, old: Tried) -> bool:
    """By mAP50-95; the earlier one where they are equal."""
    return (new.score or 0.0) > (old.score or 0.0)


def by_agreement(expected: float | None) -> Preference:
    """Surely better than the model as it was, and than `old`; see `evaluation.agreement`.

    expected: objects in a picture, where it is known.
    """
    from detect_tl.evaluation.agreement import judge

    def prefers(new: Tried, old: Tried) -> bool:
        surely = new.judgement is not None and new.judgement.better
        return surely and judge(old.agreement, new.agreement, expected).better

    return prefers


def best(tried: Sequence[Tried], prefers: Preference) -> Tried:
    """Going through them in their order, the last that was preferred."""
    found = tried[0]
    for each in tried[1:]:
        if prefers(each, found):
            found = each
    return found


@dataclass(slots=True)
class Trial:
    """Makes models and measures them; what was made before in `folder` is not made again."""

    plan: AdaptPlan
    folder: Path
    progress: Progress
    gates: dict[str, float] = field(default_factory=dict)
    tried: list[Tried] = field(default_factory=list)

    def run(self) -> list[Tried]:
        """All models, in the order in which they were made."""
        plan = self.plan
        self.measure(AS_IT_WAS, plan.source.path, {})
        self._statistics()
        teacher = self.best()
        for number in range(1, plan.rounds + 1):
            student = self._round(number, teacher.checkpoint)
            if student is None:
                break
            if not self._prefers(student, teacher):
                self.progress.say(f"{student.name} is not better than its teacher: no further one")
                break
            teacher = student
        return self.tried

    def best(self) -> Tried:
        """The one to keep."""
        return best(self.tried, self._prefers)

    def _prefers(self, new: Tried, old: Tried) -> bool:
        plan = self.plan
        chosen = by_labels if plan.data is not None else by_agreement(plan.expected)
        return chosen(new, old)

    # -- making ------------------------------------------------------------------------------

    def _statistics(self) -> None:
        from detect_tl.training.adaptation.steps import adapt_statistics

        plan, target = self.plan, self.folder / f"{STATISTICS}.pt"
        if not target.is_file():
            with self.progress.step("Estimating statistics"):
                adapt_statistics(
                    plan.source.path,
                    target,
                    plan.measured,
                    plan.imgsz,
                    reference=plan.reference,
                    trust=plan.trust,
                )
        told = {"pictures": len(plan.measured), "share": plan.share}
        self.measure(STATISTICS, target, {**told, "reference": len(plan.reference)})

    def _round(self, number: int, teacher: Path) -> Tried | None:
        """Label, train and average; None when nothing can be taught."""
        from detect_tl.core.files import read_json
        from detect_tl.training.adaptation.steps import train_student, write_teacher

        place, target = self.folder / f"round-{number}", self.folder / f"round-{number}.pt"
        labels = place / "labels"
        if not labels.is_dir():
            self._label(teacher, labels, number)
        told = read_json(labels / "provenance.json")["taught"]
        if not sum(told["objects"].values()):
            self.progress.say(
                f"round {number}: no detection reaches its gate and is confirmed; nothing to teach"
            )
            return None
        if not target.is_file():
            count = counted(sum(told["objects"].values()), "object")
            self.progress.say(f"round {number}: {count} on {len(self.plan.learned)} pictures")
            student = train_student(self._config(place, teacher, number), BarsOnly(self.progress))
            write_teacher(teacher, student, target, trust=self.plan.trust)
        return self.measure(f"round {number}", target, told)

    def _config(self, place: Path, teacher: Path, number: int) -> Any:
        from detect_tl.api.engines import torch_device
        from detect_tl.training.adaptation.steps import student_config

        plan = self.plan
        return student_config(
            data=place / "labels",
            weights=str(teacher),
            task=plan.source.task,
            freeze=plan.freeze,
            epochs=plan.epochs,
            imgsz=plan.imgsz,
            batch=plan.batch,
            lr=plan.lr,
            seed=plan.seed + number,
            device=torch_device(plan.device),
            trust=plan.trust,
            out=place / "run",
        )

    def _label(self, teacher: Path, target: Path, number: int) -> None:
        """Write what a teacher is sure of as the labels of the pictures to learn from."""
        from detect_tl.curate.pseudo import write_pseudo_labels
        from detect_tl.evaluation.pseudo_labels import gates_for, trusted

        plan = self.plan
        answers = self._ask(teacher, plan.learned, f"Labelling for round {number}")
        names = plan.source.names
        gates, origin = gates_for(names, plan.thresholds, [each.pair for each in answers])
        least = [gates[name] for name in names]
        rows = [trusted(*each.pair, least) for each in answers]
        told = {"teacher": teacher.stem, "gates": gates, "gates_from": origin}
        labelled = [
            (a.image, a.size, a.instances(r.tolist())) for a, r in zip(answers, rows, strict=True)
        ]
        write_pseudo_labels(
            labelled, target, root=plan.images, names=names, task=plan.source.task, told=told
        )

    # -- measuring ---------------------------------------------------------------------------

    def measure(self, name: str, checkpoint: Path, told: dict[str, Any]) -> Tried:
        """Judge a model, and add it to those that were tried; told: how it came about."""
        from detect_tl.evaluation.agreement import Agreement, judge
        from detect_tl.evaluation.pseudo_labels import gates_for

        plan = self.plan
        pairs = [a.pair for a in self._ask(checkpoint, plan.judged, f"Judging {name}")]
        names = plan.source.names
        if not self.gates:
            self.gates, _ = gates_for(names, plan.thresholds, pairs)
        agreement = Agreement.of(pairs, [self.gates[each] for each in names])
        found = Tried(name, checkpoint, told, agreement)
        if self.tried:
            judgement = judge(self.tried[0].agreement, agreement, plan.expected)
            found = replace(found, judgement=judgement)
        if plan.data is not None:
            found = self._evaluated(found)
        self.tried.append(found)
        return found

    def _evaluated(self, tried: Tried) -> Tried:
        from detect_tl.api.evaluation import evaluate
        from detect_tl.evaluation.compare import difference

        plan = self.plan
        evaluation = evaluate(
            tried.checkpoint,
            plan.data,
            split=plan.split,
            imgsz=plan.imgsz,
            device=plan.device,
            trust=plan.trust,
            resamples=_RESAMPLES,
            progress=BarsOnly(self.progress),
        )
        classes = {c.name for c in evaluation.metrics.main.per_class if c.objects}
        if evaluation.analysis is None or classes.isdisjoint(plan.source.names):
            raise DataError(
                "has no object of a class that the model knows, so nothing can be judged by it",
                path=plan.data,
                hint=f"The model knows {', '.join(plan.source.names[:12])}.",
            )
        first = self.tried[0].evaluation if self.tried else None
        if first is None or first.analysis is None:
            return replace(tried, evaluation=evaluation)
        found = difference(evaluation.analysis.drawn, first.analysis.drawn)
        return replace(tried, evaluation=evaluation, difference=found)

    def _ask(self, checkpoint: Path, images: Sequence[Path], text: str) -> list[Answers]:
        from detect_tl.api.adaptation.answers import ask
        from detect_tl.api.engines import torch_device

        plan = self.plan
        return ask(
            checkpoint,
            images,
            imgsz=plan.imgsz,
            device=torch_device(plan.device),
            trust=plan.trust,
            progress=self.progress,
            text=text,
        )
