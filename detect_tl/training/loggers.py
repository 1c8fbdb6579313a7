"""Where the numbers of an epoch go beside `metrics.csv`: TensorBoard, and MLflow if asked for."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detect_tl.core.files import read_json, write_json
from detect_tl.training.folder import RunFolder

Listener = Callable[[int, Mapping[str, float]], None]
"""Is told the number of an epoch, from 1 (0: before training), and its values by name."""

GoesOn = Callable[[int, Mapping[str, float]], bool]
"""Is asked after an epoch, by its number from 1 and its values, whether the run goes on."""

MLFLOW_VARIABLE = "MLFLOW_TRACKING_URI"
_MLFLOW_FILE = "mlflow.json"


@contextmanager
def listeners(
    run: RunFolder, first: int, say: Callable[[str], None]
) -> Iterator[tuple[Listener, ...]]:
    """Open everything that listens to a run; what is open is closed when the block ends.

    first: number of the first epoch that will be told; what was written of it and of later ones,
    by a run that was interrupted, is void.
    """
    with ExitStack() as stack:
        found = [stack.enter_context(tensorboard(run.path / "tensorboard", first))]
        if os.environ.get(MLFLOW_VARIABLE) and find_spec("mlflow") is None:
            say(
                f"{MLFLOW_VARIABLE} is set, but there is no MLflow: pip install 'detect-tl[mlflow]'"
            )
        elif os.environ.get(MLFLOW_VARIABLE):
            found.append(stack.enter_context(_to_mlflow(run, say)))
        yield tuple(found)


@contextmanager
def tensorboard(folder: Path, first: int) -> Iterator[Listener]:
    """Write event files, which `tensorboard --logdir RUN` shows."""
    from tensorboardX import SummaryWriter

    # its own name has whole seconds only, and a run that is resumed at once would write over it
    again = {"purge_step": first if first > 1 else None, "filename_suffix": f".{time.time_ns()}"}
    writer = SummaryWriter(str(folder), **again)

    def tell(epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                writer.add_scalar(_plain(name), value, epoch)
        writer.flush()

    try:
        yield tell
    finally:
        writer.close()


@contextmanager
def _to_mlflow(run: RunFolder, say: Callable[[str], None]) -> Iterator[Listener]:
    """Log to MLflow. Where it does not answer, say so once, and train all the same."""
    import mlflow
    from mlflow.exceptions import MlflowException

    log = _Mlflow(mlflow.MlflowClient(), run)
    failed = False

    def tell(epoch: int, values: Mapping[str, float]) -> None:
        nonlocal failed
        if failed:
            return
        try:
            log.epoch(epoch, values)
        except MlflowException as error:
            failed = True
            say(f"MLflow does not answer, so nothing more is logged to it: {_first_line(error)}")

    finished = False
    try:
        yield tell
        finished = True
    finally:
        if not failed:
            log.end(finished=finished)


class _Mlflow:
    """One run there for one run here, also when it is resumed."""

    def __init__(self, client: Any, run: RunFolder) -> None:
        self._client, self._run = client, run
        self._id: str | None = None

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        if self._id is None:
            self._id = self._begin()
        for name, value in values.items():
            if math.isfinite(value):
                self._client.log_metric(self._id, _plain(name), value, step=number)

    def _begin(self) -> str:
        kept = self._run.path / _MLFLOW_FILE
        if kept.is_file():
            known: str = read_json(kept)["run_id"]
            self._client.set_terminated(known, "RUNNING")
            return known
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "detect-tl")
        experiment = self._client.get_experiment_by_name(name)
        where = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run = self._client.create_run(where, run_name=self._run.path.resolve().name)
        identity: str = run.info.run_id
        for key, value in self._run.config().model_dump(mode="json").items():
            self._client.log_param(identity, key, value)
        self._client.set_tag(identity, "run_folder", str(self._run.path.resolve()))
        write_json(kept, {"run_id": identity})
        return identity

    def end(self, *, finished: bool) -> None:
        if self._id is not None:
            self._client.set_terminated(self._id, "FINISHED" if finished else "FAILED")


def _plain(name: str) -> str:
    """A name without the brackets of Ultralytics, which neither of the two allows."""
    return name.replace("(", "_").replace(")", "")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
