"""A search over settings on a cluster: Ray Tune runs the trials, several at a time.

A trial is carried out by the same function as in one process, and is the same run folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from detect_tl.api.tuning import TuneResult, tune as tune_here
from detect_tl.core.errors import DetectTLError, MachineError, UsageError
from detect_tl.core.files import read_json, write_json
from detect_tl.core.progress import Progress, Silent, Step
from detect_tl.scale.cluster import Cluster, check_installed, connected
from detect_tl.training.searching import Ended
from detect_tl.training.trials import Search, carry_out

if TYPE_CHECKING:
    from detect_tl.scale.tune_parts import Suggestions
    from detect_tl.training.config import TrainConfig

EPOCH, VALUE, BEGAN, REFUSED = "epoch", "value", "began", "refused"

# Cores of a trial, where there are enough for several; more of them help a small network little.
_USUAL_CORES = 4
# A trial whose machine was lost goes on elsewhere, so many times.
_LIVES = 3

# Tune reads these: no files of its own for every trial, nothing printed, Ctrl-C as everywhere, no
# change of the folder that paths are relative to; a trial that was refused reports no metric.
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
_SUGGESTED = "suggested.json"
_STORAGE = "ray"  # what Tune writes while it runs


def tune(
    data: str | Path,
    *,
    address: str | None = None,
    parallel: int | None = None,
    **settings: Any,
) -> TuneResult:
    """`detect_tl.api.tune` with trials side by side on Ray.

    address: as `connected` takes it. parallel: trials at a time; None: one for each GPU, else one
    for four cores, and two where there are two. The order in which trials end decides what is
    suggested next, so two searches differ where one in a process would not. `out` must be on a disk
    that all machines see.

    Raises MachineError when Ray or the cluster is missing, and what `tune` raises.
    """
    check_installed()
    return tune_here(
        data, searching=partial(_search, address=address, parallel=parallel), **settings
    )


def _search(
    search: Search,
    progress: Progress,
    ended: Ended,
    *,
    address: str | None,
    parallel: int | None,
) -> None:
    """Carry out the trials that are missing, side by side."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    own = replace(search, folder=search.folder.resolve(), common=_absolute(search.common))
    if len(own.records()) >= own.trials:
        return
    with connected(address, progress) as cluster:
        if cluster.through_client:
            raise UsageError(
                "trials cannot be run through a Ray client",
                hint="Start it on a machine of the cluster, with --address auto or HOST:PORT.",
            )
        _run(own, progress, ended, cluster, parallel)


def _run(
    search: Search, progress: Progress, ended: Ended, cluster: Cluster, parallel: int | None
) -> None:
    from detect_tl.scale.tune_parts import Suggestions

    at_once, resources = shares(cluster, parallel, gpu=search.common.device != "cpu")
    progress.say(f"{at_once} trials at a time, each with {resources['cpu']} of the cores")
    storage = search.folder / _STORAGE
    shutil.rmtree(storage, ignore_errors=True)
    suggestions = Suggestions(search, search.began(), ended)
    with progress.step("trials", suggestions.missing) as bar:
        tuner = _tuner(search, suggestions, bar, at_once, resources)
        try:
            with _interrupted(suggestions):
                results = tuner.fit()
        finally:
            shutil.rmtree(storage, ignore_errors=True)
    if suggestions.cut is not None:
        raise suggestions.cut
    for error in results.errors:
        raise MachineError(
            f"a trial ended without a result: {_last_line(error)}",
            hint="Repeat the command: what has finished is kept, and the others go on.",
        ) from error


def _tuner(
    search: Search, suggestions: Suggestions, bar: Step, at_once: int, resources: dict[str, int]
) -> Any:
    """Ray's Tuner for the trials that are missing."""
    from ray import tune as ray_tune

    from detect_tl.scale.tune_parts import Cut, Halving, Watch

    threads, began = resources["cpu"], suggestions.began

    def trial(config: dict[str, Any]) -> None:
        _trial(search, config, threads, began)

    return ray_tune.Tuner(
        ray_tune.with_resources(trial, resources),
        tune_config=ray_tune.TuneConfig(
            search_alg=suggestions,
            scheduler=Halving(search),
            num_samples=suggestions.missing,
            max_concurrent_trials=at_once,
            reuse_actors=True,
        ),
        run_config=ray_tune.RunConfig(
            name="trials",
            storage_path=str(search.folder / _STORAGE),
            callbacks=[Watch(suggestions, bar)],
            stop=Cut(suggestions),
            verbose=0,
            failure_config=ray_tune.FailureConfig(max_failures=_LIVES),
        ),
    )


@contextmanager
def _interrupted(suggestions: Suggestions) -> Iterator[None]:
    """Let Ctrl-C end all trials first, so that none goes on behind the back of who is told of it.

    A second one does not wait for them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        if isinstance(suggestions.cut, KeyboardInterrupt):
            raise KeyboardInterrupt
        suggestions.cut = KeyboardInterrupt()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def shares(
    cluster: Cluster, parallel: int | None, *, gpu: bool = True
) -> tuple[int, dict[str, int]]:
    """How many trials run at a time, and what each of them gets, `cpu` and maybe `gpu`."""
    cpus = max(cluster.cpus, 1)
    if gpu and cluster.gpus:
        at_once = min(parallel or cluster.gpus, cluster.gpus)
        return at_once, {"cpu": max(cpus // cluster.gpus, 1), "gpu": 1}
    usual = max(cpus // _USUAL_CORES, min(cpus, 2))
    at_once = min(parallel or usual, cpus)
    # a trial lies on one node
    return at_once, {"cpu": max(min(cpus // at_once, cpus // max(cluster.nodes, 1)), 1)}


def _trial(search: Search, config: dict[str, Any], threads: int, began: float) -> None:
    """Carry out a trial in a process of the cluster, and report each of its epochs."""
    from ray import tune as ray_tune

    since = time.time() - began

    def report(epoch: int, value: float) -> bool:
        ray_tune.report({EPOCH: epoch, VALUE: value, BEGAN: since})
        return True  # who is to stop is stopped from outside

    try:
        if not (search.folder / "settings.json").is_file():
            raise MachineError(
                f"a machine of the cluster does not see {search.folder}",
                hint="Name an --out on a disk that all of its machines share.",
            )
        carry_out(
            search,
            config["number"],
            config["settings"],
            report,
            progress=Silent(),
            threads=threads,
            began=began,
        )
    except DetectTLError as error:
        ray_tune.report({REFUSED: error})


def suggested(search: Search) -> dict[int, dict[str, Any]]:
    """What was suggested before, by the number of the trial, whether or not it has ended."""
    path = search.folder / _SUGGESTED
    found = read_json(path) if path.is_file() else {}
    return {int(number): settings for number, settings in found.items()}


def remember(search: Search, settings: dict[int, dict[str, Any]]) -> None:
    """Write down what was suggested, before it is begun."""
    write_json(search.folder / _SUGGESTED, {str(number): each for number, each in settings.items()})


def _absolute(config: TrainConfig) -> TrainConfig:
    """The same for a process that stands in another folder."""
    names = ("data", "weights", "augment", "kin", "yardstick", "teacher")
    found = {}
    for name in names:
        value = getattr(config, name)
        if value is not None and Path(value).exists():
            found[name] = type(value)(Path(value).resolve())
    return config.model_copy(update=found)


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
