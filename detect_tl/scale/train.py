"""Training by several processes of a cluster, which share every batch, through Ray Train.

The run folder is that of a local training, and lies where this is called. A process that is lost,
or a machine, costs the epoch that it was in: the others are ended, and as many as the cluster has
room for go on after the last epoch that was finished.
"""

from __future__ import annotations

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
from detect_tl.scale.fitting import driven, reason_of, this_node
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

_POLL = 0.5
_NOBODY = -1  # the attempt of which nothing is kept
_WRITES_WITHIN = 10.0  # seconds, for the files of an epoch


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
    """An actor on this node, which ends with the block, and first with what it is writing."""
    import ray

    actor = ray.remote(num_cpus=0, scheduling_strategy=this_node())(Keeper)
    keeper = actor.remote(run.path.resolve(), run.dataset().resolve())
    try:
        yield keeper
    finally:
        ray.wait([keeper.begin.remote(_NOBODY)], timeout=_WRITES_WITHIN)
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
    with driven(order, room) as fitting, Shown(progress) as shown:
        while True:
            ended, _ = ray.wait([fitting], timeout=_POLL)
            shown.show(ray.get(keeper.told.remote()))
            if ended:
                return reason_of(fitting)
