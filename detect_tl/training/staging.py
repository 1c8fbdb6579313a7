"""Carrying out the stages of a strategy: what is frozen, and what the epochs are fed with."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detect_tl.core.errors import MachineError
from detect_tl.models.cut import cut_before
from detect_tl.models.yolo import unwrap_model
from detect_tl.training.features import Budget, FeatureBatches, FeatureViews
from detect_tl.training.forward import Maps
from detect_tl.training.precision import cpu_has_bfloat16
from detect_tl.training.rates import set_rates
from detect_tl.transfer.strategies import PlannedStage, stage_at

_VIEWS = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What a trainer can be told beyond Ultralytics' own settings.

    strategy: by name; None: Ultralytics' own schedule. views: of which features are kept.
    cache_limit: bytes. imprint: whether rows of new classes are computed from their objects.
    kin: file of classes that lend their rows.
    """

    strategy: str | None = None
    views: int = _VIEWS
    cache_limit: int | None = None
    imprint: bool = False
    kin: Path | None = None

    @classmethod
    def taken_from(cls, settings: dict[str, Any]) -> Settings:
        """Take these out of the settings of a trainer, since Ultralytics would refuse them."""
        strategy = settings.pop("strategy", None)
        limit = settings.pop("cache_limit", None)  # GB
        kin = settings.pop("kin", None)
        return cls(
            strategy,
            int(settings.pop("views", _VIEWS)),
            None if limit is None else int(float(limit) * 1e9),
            bool(settings.pop("imprint", strategy is not None)),
            None if kin is None else Path(kin),
        )


class Staging:
    """The stages of one training.

    live: Ultralytics' loader of pictures. validated: what frozen layers answered to validation
    pictures, by number of the batch, while it holds. views: how many views are kept in a stage, by
    its first epoch; free memory decides it once, and a resumed run goes on with as many.
    """

    def __init__(self, trainer: Any, settings: Settings, views: Mapping[int, int]) -> None:
        """views: of the stages that a resumed run has entered before."""
        self.live = trainer.train_loader
        self.validated: dict[int, Maps] = {}
        self.views = dict(views)
        self._trainer = trainer
        self._settings = settings
        self._stage: PlannedStage | None = None
        self._features: FeatureViews | None = None
        self._step = 0
        # as it is before mosaic is closed, so that a view does not depend on when it is computed
        self._mosaic = copy(self.live.dataset)

    def begin_epoch(self, epoch: int) -> Any:
        """Enter the stage of an epoch; return the loader that feeds it."""
        self._step = 0
        if not self._trainer.stages:
            return self.live
        planned = stage_at(self._trainer.stages, epoch)
        if planned is not self._stage:
            self._enter(planned)
        return self._loader(epoch)

    def begin_batch(self, epoch: int) -> None:
        """Set the learning rates of a step."""
        if self._stage is not None:
            steps = len(self.live)
            set_rates(self._trainer.optimizer, self._stage, epoch, self._step, steps)
        self._step += 1

    def _enter(self, planned: PlannedStage) -> None:
        """Freeze what a stage freezes, and let everything else train."""
        self._stage = planned
        trainer = self._trainer
        model = unwrap_model(trainer.model)
        prefixes = tuple(f"model.{layer}." for layer in planned.layers)
        trainer.args.freeze = list(planned.layers)
        trainer.freeze_layer_names = [*prefixes, ".dfl"]
        for name, parameter in model.named_parameters():
            trains = not name.startswith(prefixes) and ".dfl." not in name
            parameter.requires_grad_(trains)
            if not trains:
                parameter.grad = None
        self.validated.clear()
        first = len(planned.layers)
        can = planned.stage.cached and first and planned.layers == tuple(range(first))
        trainer.forward.cut = cut_before(model, first) if can else None
        self._features = self._views_of_frozen(planned.start) if can else None
        if not self.views.get(planned.start):
            trainer.forward.cut = self._features = None

    def _views_of_frozen(self, start: int) -> FeatureViews:
        """Decide how many views have room in the stage that begins with epoch `start`."""
        trainer = self._trainer
        trainer._model_train()  # frozen BatchNorm is in eval before it answers
        native = trainer.device.type == "cpu" and trainer.mixed_precision and cpu_has_bfloat16()
        features = FeatureViews(
            self._dataset_of,
            trainer.forward.front,
            seed=trainer.args.seed,
            batch=trainer.batch_size,
            device=trainer.device,
            dtype=torch.bfloat16 if native else torch.float16,
            workers=trainer.args.workers,
        )
        budget = Budget.of_this_machine(trainer.device, self._settings.cache_limit)
        before = self.views.get(start)
        wanted = self._settings.views if before is None else before
        views = features.plan(wanted, trainer.args.imgsz, budget) if wanted else 0
        if before is not None and views < before:
            raise MachineError(
                f"the run keeps features of {before} views, and there is room for {views} now",
                hint="Free memory or disk, and resume again; with fewer views it would differ.",
            )
        if views < wanted:
            fate = f"{views} are kept" if views else "they are computed in every epoch"
            trainer.say(f"no room to keep features of {wanted} views: {fate}")
        self.views[start] = views
        return features

    def _dataset_of(self, view: int) -> Any:
        """The pictures as a view has them: in the first one mosaics, in the others one by one."""
        if view == 0:
            return self._mosaic
        plain = copy(self._mosaic)
        plain.close_mosaic(copy(self._trainer.args))
        self._trainer.prepare_transforms(plain)
        return plain

    def _loader(self, epoch: int) -> Any:
        if self._features is None:
            return self.live
        trainer = self._trainer
        trainer._model_train()
        assert self._stage is not None
        view = self._features.view(epoch % self.views[self._stage.start])
        order = trainer.args.seed * 1_000_003 + epoch
        return FeatureBatches(view, self.live, trainer.batch_size, order)
