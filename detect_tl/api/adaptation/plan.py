"""What an adaptation would do, decided before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress
from detect_tl.core.words import counted

if TYPE_CHECKING:
    from detect_tl.api.evaluation import Split
    from detect_tl.training.adaptation.steps import Source
    from detect_tl.training.folder import RunFolder

FEWEST_PICTURES = 12
# Judged on so many, an interval is narrow enough; learning from more is a matter of hours.
_MOST_JUDGED, _MOST_LEARNED = 64, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptPlan:
    """Which pictures are used for what, and how.

    model: as it was named; source: its checkpoint. run: that it belongs to, if any.
    learned: pictures to learn from. judged: others, on which what comes out is judged.
    measured: those of `learned` that statistics are taken of. reference: pictures that the model
    was trained on, in the same number, where they are still there.
    rounds, epochs: of self-training. freeze: what stays in it. thresholds: that the run keeps.
    expected: objects in a picture that the model was trained on; None: not known.
    data, split: labelled pictures to judge by, if any.
    """

    model: str
    source: Source
    run: RunFolder | None
    images: Path
    learned: tuple[Path, ...]
    judged: tuple[Path, ...]
    measured: tuple[Path, ...]
    reference: tuple[Path, ...]
    rounds: int
    epochs: int
    lr: float
    batch: int | None
    freeze: Any
    imgsz: int
    thresholds: Mapping[str, float]
    expected: float | None
    data: Path | None
    split: Split | None
    seed: int
    device: str
    trust: bool

    @property
    def share(self) -> float:
        """How much of the new statistics comes from the pictures, 0 to 1."""
        from detect_tl.training.adaptation.statistics import share_of

        return share_of(len(self.measured))

    def summary(self) -> list[str]:
        """What would be done, a line for each step."""
        learned, judged = len(self.learned), len(self.judged)
        measured = counted(len(self.measured), "picture")
        return [
            f"pictures: {learned} to learn from, {judged} others to judge on",
            f"statistics: BatchNorm on {measured}, weight {self.share:.0%}; {self._against}",
            f"self-training: {self._rounds}",
            f"judged by {self.judge}",
        ]

    @property
    def judge(self) -> str:
        """What decides, in words."""
        if self.data is not None:
            return f"mAP50-95 on the labels of {self.data}: the best is kept"
        return (
            "agreement between each picture and its mirror image, for want of labels; without a"
            " sure gain the model stays as it was"
        )

    @property
    def _against(self) -> str:
        if self.reference:
            known = counted(len(self.reference), "picture")
            return f"only what differs from {known} of the model's own training is applied"
        return "only in the first two layers, for want of the model's own training pictures"

    @property
    def _rounds(self) -> str:
        if not self.rounds:
            return "none"
        rounds = f"{counted(self.rounds, 'round')} of {counted(self.epochs, 'epoch')}"
        gate = "the run's thresholds of best F1" if self.thresholds else "derived from agreement"
        return f"{rounds} at {self.imgsz} pixels, frozen: {self.freeze}; gates: {gate}"

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for an interrupted adaptation to go on."""
        from detect_tl.core.files import sha256_files

        files = [*self.learned, *self.judged]
        return {
            "weights": self.source.sha256,
            "images": sha256_files(files, self.images),
            "data": None if self.data is None else str(self.data.resolve()),
            "reference": len(self.reference),
            **self._settings(),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights": str(self.source.path),
            "weights_sha256": self.source.sha256,
            "images": str(self.images),
            "learned": len(self.learned),
            "judged": len(self.judged),
            "measured": len(self.measured),
            "share": self.share,
            "reference": len(self.reference),
            "expected_objects": self.expected,
            "data": None if self.data is None else str(self.data),
            "judged_by": self.judge,
            **self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        names = ("rounds", "epochs", "lr", "batch", "freeze", "imgsz", "split", "seed")
        return {name: getattr(self, name) for name in names}


def make_plan(
    model: str | Path, images: Path, progress: Progress, *, seed: int, trust: bool, **settings: Any
) -> AdaptPlan:
    """Decide; raise UsageError, DataError or WeightsError for what cannot be used.

    settings: rounds, epochs, lr, batch, freeze, imgsz (None: the model's own), data, split, device.
    """
    from detect_tl.api.model_files import find_model
    from detect_tl.core.files import read_json
    from detect_tl.training.adaptation.pictures import MOST_PICTURES, some
    from detect_tl.training.adaptation.steps import read_source

    files = find_model(model, trust=trust, progress=progress)
    if files.checkpoint is None:
        raise UsageError(
            f"{model} is an exported file, which cannot be adapted",
            hint="Name the run folder, or the .pt file that it was made of.",
        )
    imgsz = settings.pop("imgsz") or files.own_imgsz(trust=trust)
    if imgsz % 32:
        raise UsageError(f"imgsz is {imgsz}", hint="It must be a multiple of 32.")
    source = read_source(files.checkpoint, settings["freeze"], trust=trust)
    found = _pictures(images)
    judged = some(found, min(len(found) // 3, _MOST_JUDGED), seed)
    left = set(judged)
    learned = some([path for path in found if path not in left], _MOST_LEARNED, seed)
    measured = some(learned, MOST_PICTURES, seed)
    kept = files.run.thresholds if files.run is not None else None
    return AdaptPlan(
        model=str(model),
        source=source,
        run=files.run,
        images=images,
        learned=tuple(learned),
        judged=tuple(judged),
        measured=tuple(measured),
        reference=tuple(some(_trained_on(files.run), len(measured), seed)),
        thresholds=read_json(kept) if kept is not None and kept.is_file() else {},
        expected=_expected(files.run),
        imgsz=imgsz,
        seed=seed,
        trust=trust,
        **settings,
    )


def _pictures(folder: Path) -> list[Path]:
    from detect_tl.core.files import find_images

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="Name a folder of pictures with --images.")
    found = find_images(folder)
    if len(found) < FEWEST_PICTURES:
        raise DataError(
            f"holds {counted(len(found), 'picture')}; to adapt, {FEWEST_PICTURES} are needed at"
            " least",
            path=folder,
            hint="Take a few dozen from the new camera, of what it usually sees.",
        )
    return found


def _trained_on(run: RunFolder | None) -> list[Path]:
    """The training pictures of a run that lie in a dataset folder; none where they are gone."""
    from detect_tl.core.files import find_images

    if run is None or run.adaptation.is_file():  # its own statistics are those of another camera
        return []
    return find_images(run.dataset() / "images" / "train")


def _expected(run: RunFolder | None) -> float | None:
    """Objects in a training picture, as the run counted them."""
    from detect_tl.core.files import read_json

    if run is None or run.adaptation.is_file():
        return None
    counted_then = read_json(run.path / "dataset.json")
    objects: int = counted_then["objects"]["train"]
    images: int = counted_then["images"]["train"]
    return objects / images
