"""Ray Train, driven by a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from detect_tl.core.errors import MachineError
from detect_tl.scale.room import Room
from detect_tl.scale.scratch import scratch_folder

if TYPE_CHECKING:
    from detect_tl.scale.member import Order

_PATIENCE = 3 * 60 * 60  # seconds that others wait while the leading process validates


def this_node() -> Any:
    """Where the driver is, to be the place of what it starts."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


@contextmanager
def driven(order: Order, room: Room) -> Iterator[Any]:
    """A task that drives Ray Train, and ends with the block at the latest.

    In the main thread here Ray Train would take over Ctrl-C; where another thread lets go of what
    it waits for while Ray is shut down, that ends this process at once.
    """
    import ray

    drive = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=this_node())(_fit)
    fitting = drive.remote(order, room)
    try:
        yield fitting
    finally:
        ray.cancel(fitting, force=True)


def _fit(order: Order, room: Room) -> str | None:
    """Train until the run has ended, or processes were lost: why they were."""
    from ray.exceptions import RayError
    from ray.train import ControllerError, TrainingFailedError

    try:
        with scratch_folder() as folder:
            _trainer(order, room, folder).fit()
    except (TrainingFailedError, RayError) as error:
        if isinstance(error, ControllerError) and order.attempt == 1:
            raise MachineError(
                f"Ray does not start the processes: {_why(error)}",
                hint="`ray status` says what takes the cores.",
            ) from error
        return _why(error)
    return None


def reason_of(fitting: Any) -> str | None:
    """What an ended task gave; raises what it raised."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return cast("str | None", ray.get(fitting))
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:  # its process was lost
        return _first(error)


def _trainer(order: Order, room: Room, folder: Path) -> Any:
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
            storage_path=str(folder),
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
