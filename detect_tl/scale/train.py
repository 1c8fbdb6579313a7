"""Training by several processes of a cluster, which share every batch, through Ray Train.

The run folder is that of a local training, and lies where this is called. A process that is lost,
or a machine, costs the epoch that it was in: the others are ended, and as many as the cluster has
room for go on after the last epoch that was finished.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.training import Data, TrainResult, as_trained, finish
from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.files import write_json
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.words import counted
from detect_tl.scale.cluster import Cluster, connected
from detect_tl.scale.keeper import Keeper, Shown, content
from detect_tl.scale.room import (
    Room,
    nodes_of_cluster,
    nodes_that_answer,
    room_for,
    room_within,
)

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.folder import RunFolder

_MOST_LOSSES = 3
"""In a row, without an epoch between them."""

_PATIENCE = 3 * 60 * 60  # seconds that others wait while the leading process validates
_POLL = 0.5


def train(
    data: Data,
    *,
    workers: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainResult:
    """Train as `api.train` does, by `workers` processes of a Ray cluster.

    workers: each takes its share of every batch; None: one on every GPU, or else on every node.
    address: of the cluster, see `connected`. settings: as of `api.train`.

    Raises what `api.train` raises, UsageError for a batch that cannot be shared evenly, and
    MachineError when the cluster has no room for so many, or loses them again and again.
    """
    from detect_tl.training.beginning import begin
    from detect_tl.training.config import TrainConfig

    show = progress or Silent()
    config = TrainConfig.parse({"data": data, **settings})
    if config.epochs == 0:
        raise UsageError(
            "without epochs there is nothing to share",
            hint="Leave out --engine ray, or ask for --epochs.",
        )
    with connected(address, show) as cluster:
        _refuse_from_outside(cluster)
        room = room_for(nodes_of_cluster(), workers, config.device)
        show.say(f"training with {room}")
        run, resolved, _ = begin(config, show, room.processes)
        _carry_out(_Task(run, resolved, room, _inputs(resolved, show)), show)
    return finish(as_trained(run), config.device, show)


@dataclass(frozen=True, slots=True)
class _Task:
    """inputs: name and content of files that the configuration names, by its fields."""

    run: RunFolder
    config: TrainConfig
    room: Room
    inputs: dict[str, tuple[str, bytes]]

    def places(self) -> dict[str, str]:
        """What Ultralytics' settings would name, if it trained here."""
        run = self.run.path.resolve()
        return {
            "data": str((self.run.dataset() / "data.yaml").resolve()),
            "model": str(self.config.weights),
            "save_dir": str(run),
            "name": run.name,
        }


def _refuse_from_outside(cluster: Cluster) -> None:
    if cluster.through_client:
        raise UsageError(
            "a training cannot be driven from outside of the cluster: its run folder is written"
            " where it is driven",
            hint="Start it on a node of the cluster, with --address auto.",
        )


def _inputs(config: TrainConfig, progress: Progress) -> dict[str, tuple[str, bytes]]:
    from detect_tl.transfer.fetch import locate

    files = {"weights": Path(config.weights)}
    if config.teacher is not None:
        files["teacher"] = locate(config.teacher, trust=config.trust, progress=progress).path
    if config.kin is not None:
        files["kin"] = config.kin
    return {field: (path.name, path.read_bytes()) for field, path in files.items()}


def _carry_out(task: _Task, progress: Progress) -> None:
    """Attempt it until it has ended."""
    import ray

    room, done, lost, attempt = task.room, 0, 0, 0
    inputs = ray.put(task.inputs)
    with _keeper(task.run) as keeper:
        while True:
            attempt += 1
            write_json(task.run.path / "cluster.json", asdict(room))
            reason = _attempt(task, room, keeper, (attempt, inputs), progress)
            if reason is None:
                return
            error: Exception | None = ray.get(keeper.failure.remote())
            if error is not None:
                raise error
            before, done = done, _epochs_of(task.run)
            lost = 1 if done > before else lost + 1
            if lost > _MOST_LOSSES:
                raise _given_up(task.run, f"failed {counted(lost, 'time')} in a row: {reason}")
            room = _room_left(task)
            progress.say(f"{reason}; {room} go on after epoch {done}")


def _given_up(run: RunFolder, why: str) -> MachineError:
    hint = f"Go on with `detect-tl resume {run.path}`, on this machine."
    return MachineError(f"the training {why}", hint=hint)


def _room_left(task: _Task) -> Room:
    """As many processes as can still share a batch, and no more than there were."""
    nodes = nodes_that_answer()
    most = min(task.room.processes, room_within(nodes, gpu=task.room.gpu))
    batch = task.config.batch or 1
    fitting = [n for n in range(1, most + 1) if batch % n == 0]
    if not fitting:
        raise _given_up(task.run, "has no node left that it could go on on")
    return room_for(nodes, fitting[-1], "cuda" if task.room.gpu else "cpu")


def _epochs_of(run: RunFolder) -> int:
    """How many epochs are in the metrics."""
    if not run.metrics.exists():
        return 0
    return len(run.metrics.read_text("utf-8").splitlines()) - 1


@contextmanager
def _keeper(run: RunFolder) -> Iterator[Any]:
    """An actor on this node, which ends with the block."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here)
    keeper = actor.remote(run.path.resolve(), run.dataset().resolve())
    try:
        yield keeper
    finally:
        ray.kill(keeper)


def _attempt(
    task: _Task, room: Room, keeper: Any, given: tuple[int, Any], progress: Progress
) -> str | None:
    """Train until the run has ended, or processes were lost: why they were."""
    import ray

    from detect_tl.scale.member import Order

    attempt, inputs = given
    ray.get(keeper.begin.remote(attempt))
    order = Order(
        keeper,
        attempt,
        folder=ray.put(content(task.run.path)),
        inputs=inputs,
        places=task.places(),
        cores=room.cores,
        gpu=room.gpu,
    )
    fitting = _Fitting(order, room)
    fitting.start()
    with Shown(progress) as shown:
        while fitting.is_alive():
            fitting.join(_POLL)
            shown.show(ray.get(keeper.told.remote()))
    if fitting.error is not None:
        raise fitting.error
    return fitting.reason


class _Fitting(threading.Thread):
    """Waits for Ray Train, which in the main thread would take over Ctrl-C.

    reason: why processes were lost. error: what else went wrong.
    """

    def __init__(self, order: Any, room: Room) -> None:
        super().__init__(name="ray-train", daemon=True)
        self._order = order
        self._room = room
        self.reason: str | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        from ray.exceptions import RayError
        from ray.train import ControllerError, TrainingFailedError

        try:
            with tempfile.TemporaryDirectory(prefix="detect-tl-ray-") as folder:
                _trainer(self._order, self._room, folder).fit()
        except (TrainingFailedError, RayError) as error:
            self.reason = _why(error)
            if isinstance(error, ControllerError) and self._order.attempt == 1:
                self.error = MachineError(
                    f"Ray does not start the processes: {self.reason}",
                    hint="`ray status` says what takes the cores.",
                )
        except Exception as error:  # noqa: BLE001  # raised again where it is waited for
            self.error = error


def _trainer(order: Any, room: Room, folder: str) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from detect_tl.scale.member import work

    return TorchTrainer(
        work,
        train_loop_config={"order": order},
        torch_config=TorchConfig(timeout_s=_PATIENCE),
        scaling_config=ScalingConfig(
            num_workers=room.processes,
            use_gpu=room.gpu,
            resources_per_worker={"CPU": room.cores, **({"GPU": 1} if room.gpu else {})},
        ),
        # What is lost is seen to here: Ray would wait for as many processes as there were.
        run_config=RunConfig(
            storage_path=folder,
            failure_config=FailureConfig(
                max_failures=0, controller_failure_limit=0, max_preemption_failures=0
            ),
        ),
    )


def _why(error: BaseException) -> str:
    """What happened, in a line. Of a process that is lost the others say that they miss it."""
    from ray.exceptions import RayActorError

    failures = getattr(error, "worker_failures", {})
    for rank, failure in failures.items():
        # Ray Train wraps what it finds when it asks how a process is
        if isinstance(getattr(failure, "health_check_failure", failure), RayActorError):
            return f"process {rank} was lost"
    for rank, failure in failures.items():
        return f"process {rank} stopped ({_first(failure)})"
    return _first(getattr(error, "controller_failure", error))


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().partition(". ")[0] if lines else type(error).__name__
