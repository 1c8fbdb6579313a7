"""Ultralytics' trainers, made to transfer by plan, to freeze to the bit, and to resume exactly.

What trains and how is theirs: data, augmentation, loss, schedule and the loop over epochs. Ours is
what happens around it, through methods that they call: the loop itself is not overridden, for that
is how freezes get lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

import torch

from detect_tl.core.allocator import keeping_freed_memory
from detect_tl.core.errors import GateError
from detect_tl.core.files import write_json
from detect_tl.models.apply import apply_plan, match_class_branch, shapes
from detect_tl.models.yolo import (
    DEFAULT_CFG,
    LOGGER,
    DetectionTrainer,
    SegmentationTrainer,
    unwrap_model,
)
from detect_tl.training.anchor import Anchor, transferred
from detect_tl.training.determinism import seed_epoch
from detect_tl.training.feeding import Feeding, class_names
from detect_tl.training.forward import Forward
from detect_tl.training.imprint import imprint
from detect_tl.training.plan import choose_for
from detect_tl.training.precision import cpu_has_bfloat16, try_bfloat16, use_all_cores
from detect_tl.training.rates import make_optimizer
from detect_tl.training.recording import Recording
from detect_tl.training.saving import checkpoint, restore, write_bytes
from detect_tl.training.soup import Soup
from detect_tl.training.staging import Settings, Staging
from detect_tl.training.team import Team
from detect_tl.transfer.freeze import frozen_layers
from detect_tl.transfer.kin import read_kin
from detect_tl.transfer.plan import TransferPlan, plan_scratch, plan_transfer
from detect_tl.transfer.stages import plan_stages, trains_from
from detect_tl.transfer.strategies import AUTO, Strategy, load_strategy


class _Transfer(Feeding, Recording):
    """What the detection and the segmentation trainer share. Mixed in before Ultralytics' class.

    `freeze` may be a name ("backbone", "neck", "none") beside Ultralytics' numbers. The folder it
    writes holds `transfer.json`, the fate of every tensor.

    say: takes lines for a person. places: what checkpoints say of files and folders, where it
    trains elsewhere than it is kept. team: a setting; those it trains with, of which each has a
    trainer like this one. To Ultralytics every one of them is alone; `batch` is that of all
    together.
    """

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, Any] | None = None,
    ) -> None:
        settings = dict(overrides or {})
        self.own = Settings.taken_from(settings)
        self.team = settings.pop("team", None) or Team()
        self.mixed_precision = bool(settings.get("amp", True))
        super().__init__(cfg, settings, _callbacks)
        if self.device.type == "cpu":
            use_all_cores(self.own.threads)
        self.plan: TransferPlan | None = None
        self.resume_state: dict[str, Any] | None = None
        self.places: Mapping[str, str] = {}
        self.say: Callable[[str], None] = LOGGER.info
        self.strategy: Strategy | None = None
        self.stages = ()
        self.rounds = self.own.soup or 1
        self.anchor: Anchor | None = None
        self.add_callback("on_train_start", _Transfer._begin)
        self.add_callback("on_train_epoch_start", _Transfer._begin_epoch)
        self.add_callback("on_train_batch_start", _Transfer._begin_batch)
        self.add_callback("on_fit_epoch_end", _Transfer.end_epoch)

    # -- the model ---------------------------------------------------------------------------

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Build the model for this data and fill it from `weights`, tensor by tensor as planned."""
        del verbose
        model = super().get_model(cfg=cfg, weights=None, verbose=False)
        self.plan_stages(model.yaml, () if weights is None else class_names(weights.names))
        if weights is None:
            return model
        if self.strategy is not None and self.strategy.random:
            self.plan = plan_scratch(
                shapes(model.state_dict()),
                source_names=class_names(weights.names),
                target_names=class_names(self.data["names"]),
            )
            write_json(self.save_dir / "transfer.json", self.plan.as_json())
            return model
        match_class_branch(model, weights)
        source = weights.float().state_dict()
        self.plan = plan_transfer(
            shapes(source),
            shapes(model.state_dict()),
            source_names=class_names(weights.names),
            target_names=class_names(self.data["names"]),
            frozen_layers=trains_from(self.stages) if self.stages else self.args.freeze,
            kin=read_kin(self.own.kin),
        )
        apply_plan(self.plan, source, model)
        write_json(self.save_dir / "transfer.json", self.plan.as_json())
        return model

    def plan_stages(self, architecture: dict[str, Any], source_names: tuple[str, ...] = ()) -> None:
        """Decide what is frozen when, for a model of this architecture."""
        if self.strategy is None and self.own.strategy == AUTO:
            choice = choose_for(self, source_names)
            self.strategy = load_strategy(choice.strategy)
            self.rounds = self.own.soup or choice.rounds
            self.say(f"strategy {choice.strategy}: {choice.why}")
        elif self.strategy is None and self.own.strategy is not None:
            self.strategy = load_strategy(self.own.strategy)
        if self.strategy is None:
            self.own.refuse_idle()
            self.args.freeze = list(frozen_layers(self.args.freeze, architecture).layers)
            return
        # cuDNN plans every layer anew for another size, which takes longer than small ones save;
        # Apple's GPUs were never tried
        growing = self.device.type == "cpu"
        self.stages = plan_stages(
            self.strategy, self.epochs, architecture, growing=growing, rounds=self.rounds
        )
        self.args.freeze = list(self.stages[0].layers)
        self.args.warmup_epochs = 0  # rates are set by the stages, see `rates.py`

    @property
    def frozen_tensors(self) -> set[str]:
        """Names of the tensors that must not change by a bit."""
        prefixes = tuple(f"model.{layer}." for layer in self.args.freeze)
        return {name for name in unwrap_model(self.model).state_dict() if name.startswith(prefixes)}

    def train(self) -> None:
        """Train; on a CPU what a step frees stays for the next one."""
        with keeping_freed_memory() if self.device.type == "cpu" else nullcontext():
            super().train()

    # -- beginning, and beginning again ------------------------------------------------------

    def resume_training(self, ckpt: Any) -> None:
        """Continue from `resume_state` when there is one; the last step before the first epoch."""
        del ckpt
        self.extend_loss()
        if self.resume_state is not None:
            restore(self, self.resume_state)
        elif self.device.type == "cpu" and self.mixed_precision:
            self.mixed_precision = all(self.team.all(self._try_bfloat16()))
        self.forward = Forward(unwrap_model(self.model), self.device, mixed=self.mixed_precision)
        self.staging = Staging(self, self.own, (self.resume_state or {}).get("views", {}))
        if self.device.type in ("cpu", "cuda") or any(
            planned.stage.cached for planned in self.stages
        ):
            self.forward.install()

    def _try_bfloat16(self) -> bool:
        if not cpu_has_bfloat16():
            return self.team.alone  # elsewhere it would be used, and members must not differ
        trial = try_bfloat16(unwrap_model(self.model))
        self.say(str(trial))
        return trial.passed

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Stop at a loss that is no number: the same epoch again would end the same way."""
        values = [v for v in (self.loss, self.fitness) if v is not None]
        if all(bool(torch.isfinite(torch.as_tensor(v)).all()) for v in values):
            return False
        raise GateError(
            f"the loss is no longer a number in epoch {epoch + 1}; the checkpoints are those of the"
            " last good epoch",
            hint="Lower the learning rate (--lr), or train in float32 (--no-amp).",
        )

    def _begin(self) -> None:
        several = self.rounds > 1
        if self.resume_state is not None:
            self.train_time_start -= self.resume_state["seconds"]
            self.soup = Soup(self, **self.resume_state["soup"]) if several else None
        else:
            self._imprint()
            self.soup = Soup(self) if several else None
            if self.own.measure_start:
                self.start_metrics = self.measure()
            if self.team.leads:
                self.save_state(epoch=-1)
                write_bytes(self.last, checkpoint(self))

    def _imprint(self) -> None:
        """Compute the rows of classes that no class of the source lends, and tell of it."""
        if not self.own.imprint or self.plan is None or self.plan.from_scratch:
            return
        new = self.plan.new_classes()
        model = unwrap_model(self.model)
        settings = {"imgsz": self.args.imgsz, "device": self.device, "seed": self.args.seed}
        seen = imprint(model, self.train_loader.dataset, new, **settings)
        # the average begins where the weights do
        self.ema.ema.load_state_dict(model.state_dict())
        names = class_names(self.data["names"])
        self.plan = self.plan.imprinted({names[label]: count for label, count in seen.items()})
        write_json(self.save_dir / "transfer.json", self.plan.as_json())

    def _begin_epoch(self) -> None:
        if self.soup is not None:
            self.soup.begin_epoch(self.epoch)
        # processors of another kind may round a step in another way
        for model in (unwrap_model(self.model), self.ema.ema):
            self.team.same(model.state_dict())
        self.train_loader = self.staging.begin_epoch(self.epoch)
        seed_epoch(self.staging.live, self.args.seed, self.epoch, self.team.rank)

    def _begin_batch(self) -> None:
        self.staging.begin_batch(self.epoch)

    # -- stages ------------------------------------------------------------------------------

    def build_optimizer(self, model: Any, name: str = "auto", **settings: Any) -> Any:
        """Where there are stages, with a rate for every depth."""
        if self.stages:
            # Kept classes count, so the rate is low. On BCCD with COCO kept and replayed (3 epochs,
            # 320 pixels) old ones lost .014 of mAP50-95, and .104 at the rate of three classes;
            # the new ones reached .432 and .509.
            classes = self.learned or int(self.data["nc"])
            optimizer = make_optimizer(unwrap_model(model), name, classes=classes, **settings)
        else:
            optimizer = super().build_optimizer(model, name=name, **settings)
        if self.own.l2_sp:
            self.anchor = Anchor(self._anchors(), self.own.l2_sp)
            self.anchor.attach(unwrap_model(model), optimizer)
        return optimizer

    def _anchors(self) -> dict[str, torch.Tensor]:
        """Where the weights that were transferred whole began, by name."""
        if self.resume_state is not None:
            return dict(self.resume_state["anchor"])
        copied = self.plan.of("copied") if self.plan is not None else []
        return transferred(unwrap_model(self.model), {tensor.name for tensor in copied})

    def optimizer_step(self) -> None:
        """Make a step with the gradients of all."""
        self.team.join(unwrap_model(self.model))
        super().optimizer_step()

    def validate(self) -> Any:
        """Validate the average; its frozen layers answer once, and layers in mixed precision.

        The leader does it, and tells the others.
        """
        found = self._validate() if self.team.leads else None
        found, self.best_fitness = self.team.as_leader((found, self.best_fitness))
        return found

    def _validate(self) -> Any:
        kept = self.staging.validated
        with (
            self.served(),
            self.forward.lent_to(self.ema.ema, kept, lambda: self.validator.batch_i),
        ):
            return super().validate()


class DetectionTransferTrainer(_Transfer, DetectionTrainer):  # type: ignore[misc]
    """Trains boxes."""


class SegmentationTransferTrainer(_Transfer, SegmentationTrainer):  # type: ignore[misc]
    """Trains boxes and masks."""


class TransferTrainer:
    """The trainer for a task, for `YOLO(...).train(trainer=TransferTrainer, freeze="backbone")`."""

    TRAINERS: ClassVar[dict[str, type[_Transfer]]] = {
        "detect": DetectionTransferTrainer,
        "segment": SegmentationTransferTrainer,
    }

    def __new__(
        cls,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, Any] | None = None,
    ) -> Any:
        """Return a detection or a segmentation trainer, as `overrides["task"]` asks."""
        task = (overrides or {}).get("task") or "detect"
        return cls.TRAINERS[task](cfg, overrides, _callbacks)
