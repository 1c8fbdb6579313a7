"""Carrying out the stages of a strategy: what is frozen, and what the epochs are fed with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.models.cut import cut_before
from detect_tl.models.yolo import unwrap_model
from detect_tl.training.cache import DEFAULT_LIMIT, FeatureCache
from detect_tl.training.features import Budget, FeatureBatches, FeatureViews
from detect_tl.training.forward import Maps
from detect_tl.training.origin import origin_of_views
from detect_tl.training.precision import cpu_has_bfloat16
from detect_tl.training.rates import set_rates
from detect_tl.transfer.stages import PlannedStage, stage_at

# Views that are kept of a picture. On BCCD (14 epochs, layers up to P3 frozen) a new view in every
# epoch reached no more than half as many (mAP50-95 .633 and .632).
_FEWEST, _MOST = 3, 8
_RANK_STRIDE = 100_003  # so that no two members of a team draw the same augmentation


@dataclass(frozen=True, slots=True)
class Settings:
    """What a trainer can be told beyond Ultralytics' own settings.

    strategy: by name; None: Ultralytics' own schedule. views: of which features are kept; None: by
    the number of epochs. refresh: after so many epochs, other views take their place; None: never.
    cache_limit: bytes. imprint: whether rows of new classes are computed from their objects.
    kin: file of classes that lend their rows. l2_sp: how strongly weights are pulled towards where
    they began. measure_start: whether to validate before the first step. threads: cores that a CPU
    run may use; None: all there are. soup: trainings of which the weights are averaged; None: one,
    or as a strategy is chosen.
    """

    strategy: str | None = None
    views: int | None = None
    refresh: int | None = None
    cache_limit: int = DEFAULT_LIMIT
    imprint: bool = False
    kin: Path | None = None
    l2_sp: float = 0.0
    measure_start: bool = False
    threads: int | None = None
    soup: int | None = None

    @classmethod
    def taken_from(cls, settings: dict[str, Any]) -> Settings:
        """Take these out of the settings of a trainer, since Ultralytics would refuse them."""
        given = {name: settings.pop(name, None) for name in cls.__slots__}
        given = {name: value for name, value in given.items() if value is not None}
        if "cache_limit" in given:
            given["cache_limit"] = int(float(given["cache_limit"]) * 1e9)  # from GB
        if "kin" in given:
            given["kin"] = Path(given["kin"])
        return cls(**{"imprint": "strategy" in given, **given})

    def refuse_idle(self) -> None:
        """Raise UsageError for what says something of stages, where there are none."""
        for name in ("views", "refresh", "soup"):
            if getattr(self, name) is not None:
                raise UsageError(
                    f"{name} has no effect without a strategy",
                    hint='Give one too, such as strategy="auto".',
                )


class Staging:
    """The stages of one training. In a team each keeps features of its own share of the pictures.

    live: Ultralytics' loader of pictures. validated: what frozen layers answered to validation
    pictures, by number of the batch, while it holds. views: how many views are kept in a stage, by
    its first epoch; free memory decides it once, and a resumed run goes on with as many.
    """

    def __init__(self, trainer: Any, settings: Settings, views: Mapping[int, int]) -> None:
        """views: of the stages that a resumed run has entered before."""
        self.live = trainer.train_loader
        self.validated: dict[int, Maps] = {}
        self.views = dict(views)
        self.cache = FeatureCache(limit=settings.cache_limit)
        self._trainer = trainer
        self._settings = settings
        self._stage: PlannedStage | None = None
        self._features: FeatureViews | None = None
        self._step = 0
        # as it is before mosaic is closed, so that a view does not depend on when it is computed
        self._mosaic = copy(self.live.dataset)
        self._closed = False

    def begin_epoch(self, epoch: int) -> Any:
        """Enter the stage of an epoch; return the loader that feeds it."""
        self._step = 0
        if not self._trainer.stages:
            return self.live
        planned = stage_at(self._trainer.stages, epoch)
        if self._trainer.soup is not None:
            self._close_or_open_mosaic(planned.until - epoch)
        if planned is not self._stage:
            self._enter(planned)
        self._trainer.size = planned.size(epoch - planned.start, planned.epochs)
        return self._loader(epoch)

    def begin_batch(self, epoch: int) -> None:
        """Set the learning rates of a step."""
        if self._stage is not None:
            steps = len(self.live)
            set_rates(self._trainer.optimizer, self._stage, epoch, self._step, steps)
        self._step += 1

    def _close_or_open_mosaic(self, left: int) -> None:
        """What Ultralytics does before the last epochs of a run, before those of every round.

        left: epochs of the round, with this one.
        """
        close = left <= self._trainer.args.close_mosaic
        if close == self._closed:
            return
        self._closed = close
        self._trainer.train_loader = self.live
        if close:
            self._trainer._close_dataloader_mosaic()
        else:
            self.live.dataset.transforms = self._mosaic.transforms
        self.live.reset()

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
        front = trainer.forward.front
        cut, dtype = trainer.forward.cut, torch.bfloat16 if native else torch.float16
        features = FeatureViews(
            self._dataset_of,
            front if trainer.lessons is None else trainer.lessons.front(front),
            self.cache,
            key=origin_of_views(trainer, cut, dtype),
            seed=trainer.args.seed + _RANK_STRIDE * trainer.team.rank,
            batch=trainer.batch_size // trainer.team.size,
            device=trainer.device,
            dtype=dtype,
            workers=trainer.args.workers,
            even=trainer.forward.even,
            size_of=self._size_of,
            stride=trainer.stride,
        )
        team = trainer.team
        budget = Budget.of_this_machine(trainer.device, self.cache, team.local_size)
        before = self.views.get(start)
        wanted = self._wanted_views() if before is None else before
        views = features.plan(wanted, self._size(), budget) if wanted else 0
        views = min(team.all(views))
        if before is not None and views < before:
            raise MachineError(
                f"the run keeps features of {before} views, and there is room for {views} now",
                hint="Free memory or disk, and resume again; with fewer views it would differ.",
            )
        if views < wanted:
            fate = f"{views} are kept" if views else "they are computed in every epoch"
            trainer.say(f"no room to keep features of {wanted} views: {fate}")
        self.views[start] = views
        features.count = max(views, 1)
        return features

    def _size(self) -> tuple[int, int]:
        side = self._trainer.args.imgsz
        return self._trainer.canvas or (side, side)

    def _wanted_views(self) -> int:
        """As many as were asked for, or one for two epochs: each is then seen twice at least."""
        assert self._stage is not None
        by_epochs = min(max(math.ceil(self._stage.epochs / 2), _FEWEST), _MOST)
        wanted = self._settings.views or by_epochs
        return min(wanted, self._settings.refresh or self._stage.epochs)

    def _size_of(self, view: int) -> float:
        """Side of the pictures of a view, against that in use."""
        assert self._stage is not None
        count = self.views[self._stage.start]
        return self._stage.size(view % count, count)

    def _dataset_of(self, view: int) -> Any:
        """The pictures as a view has them: in the first one mosaics, in the others one by one."""
        assert self._stage is not None
        team = self._trainer.team
        if view % max(self.views.get(self._stage.start, 1), 1) == 0:
            return team.share_of(self._mosaic)
        plain = copy(self._mosaic)
        plain.close_mosaic(copy(self._trainer.args))
        self._trainer.prepare_transforms(plain)
        return team.share_of(plain)

    def _loader(self, epoch: int) -> Any:
        if self._features is None:
            return self.live
        trainer = self._trainer
        trainer._model_train()
        order = trainer.args.seed * 1_000_003 + epoch
        view = self._features.view(self._view_of(epoch))
        batch, even = trainer.batch_size // trainer.team.size, trainer.forward.even
        return FeatureBatches(view, self.live, batch, order, even=even)

    def _view_of(self, epoch: int) -> int:
        """The number of the view of an epoch; views that a refresh has replaced are let go of.

        The last epoch has the last view, in which pictures are as they will be in use: no mosaics.
        """
        assert self._stage is not None
        assert self._features is not None
        done, refresh = epoch - self._stage.start, self._settings.refresh
        length = self._stage.epochs if refresh is None else refresh
        generation, since = divmod(done, length)
        views = self.views[self._stage.start]
        self._features.forget_before(generation * views)
        return generation * views + (since - length) % views
