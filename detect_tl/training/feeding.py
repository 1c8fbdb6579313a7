"""What a trainer learns from: pictures as they are augmented, what labels say, what teachers say.

Ultralytics asks its trainer for the data sets, loaders and losses; these are the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from detect_tl.models.yolo import BaseTrainer, unwrap_model
from detect_tl.training.augmentation import Augment, install
from detect_tl.training.canvas import canvas_of, set_canvas, shrunk
from detect_tl.training.coverage import Coverages, keep_apart, leave_open, read_coverage
from detect_tl.training.determinism import forget_mosaic_buffer
from detect_tl.training.lesson import Lessons, Teacher
from detect_tl.training.objective import extend
from detect_tl.training.team import Team
from detect_tl.transfer.stages import PlannedStage


class Feeding(BaseTrainer):  # type: ignore[misc]  # Ultralytics is not typed
    """Mixed in before Ultralytics' trainer of a task.

    augment: in the place of Ultralytics' own. canvas: (width, height) of training pictures; None:
    Ultralytics' square. size: side of the pictures of an epoch that has no kept features, against
    that in use. coverages: what labels leave open. teachers: models that it learns from, beside the
    labels. kept: number of classes that it is to go on knowing; BatchNorm then stays as it was
    transferred. learned: of the classes that rates go by; 0: all.
    """

    team: Team
    stages: tuple[PlannedStage, ...]
    augment: Augment | None = None
    canvas: tuple[int, int] | None = None
    size: float = 1.0
    coverages: Coverages = MappingProxyType({})
    teachers: Sequence[Teacher] = ()
    lessons: Lessons | None = None
    kept: int = 0
    learned: int = 0

    def extend_loss(self) -> None:
        """Let the loss leave out what labels leave open, and learn from teachers."""
        if self.teachers:
            self.lessons = Lessons(self.teachers, class_names(self.data["names"]), self.team)
        if self.coverages or self.lessons or not self.team.alone:
            model = unwrap_model(self.model)
            plain = model.init_criterion
            # in the instance, so that no copy of the model knows of it
            model.init_criterion = lambda: extend(plain(), self.coverages, self.lessons, self.team)

    def _model_train(self) -> None:
        """Let layers train; those that keep old classes go by the statistics that they have."""
        super()._model_train()
        if self.kept:
            for module in unwrap_model(self.model).modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()

    def _coverage(self, split: str) -> Coverages:
        names = class_names(self.data["names"])
        return read_coverage(Path(self.data["path"]), split, self.args.task, names)

    def get_validator(self) -> Any:
        """Ultralytics' validator; what is found of classes nobody looked for does not count."""
        validator = super().get_validator()
        leave_open(validator, self._coverage("val"))
        return validator

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Build the data set; mosaic chooses from all of it, whatever was read before."""
        with self.team.in_turn():  # the first one leaves what it found for the others
            dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            self.coverages = self._coverage("train")
            # what turns pictures needs a square
            if self.stages and self.augment is None and not self.args.degrees:
                self.canvas = canvas_of(dataset, int(max(unwrap_model(self.model).stride)))
            self.prepare_transforms(dataset)
        return dataset

    def get_dataloader(self, *args: Any, **settings: Any) -> Any:
        """Ultralytics' loader; in a team, of a share of every training batch."""
        loader = super().get_dataloader(*args, **settings)
        if settings.get("mode") == "train":
            self.team.divide(loader)
        return loader

    def prepare_transforms(self, dataset: Any) -> None:
        """Put what is ours into the transforms that Ultralytics has built for training."""
        forget_mosaic_buffer(dataset)
        keep_apart(dataset, self.coverages)
        if self.canvas is not None:
            set_canvas(dataset, self.canvas)
        if self.augment is not None:
            install(dataset, self.augment)

    def _close_dataloader_mosaic(self) -> None:
        """Go on without mosaic. Ultralytics builds its transforms anew for that."""
        super()._close_dataloader_mosaic()
        self.prepare_transforms(self.train_loader.dataset)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, its pictures in the size of the epoch; kept features need no
        more."""
        if "maps" not in batch:
            found = dict(super().preprocess_batch(batch))
            return {**found, "img": shrunk(found["img"], self.size, self.stride)}
        maps = {layer: values.to(self.device) for layer, values in batch["maps"].items()}
        tensors = {k: v.to(self.device) for k, v in batch.items() if isinstance(v, torch.Tensor)}
        return {**batch, **tensors, "maps": maps}


def class_names(names: Mapping[int, str] | Sequence[str]) -> tuple[str, ...]:
    """Names of classes in the order of their ids, of a model or of a data set of Ultralytics."""
    return tuple(names.values() if isinstance(names, Mapping) else names)
