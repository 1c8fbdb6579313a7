"""One of the processes that train together: what Ray Train runs on every one of its workers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray.exceptions import RayError

from detect_tl import __version__
from detect_tl.core.errors import DetectTLError, MachineError
from detect_tl.core.files import read_json, write_json
from detect_tl.core.progress import Silent
from detect_tl.scale.keeper import Distant, Mirror, fill
from detect_tl.scale.lent import LentDataSets
from detect_tl.scale.parcel import is_here
from detect_tl.scale.scratch import scratch_folder

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.folder import RunFolder
    from detect_tl.training.team import Team

# By these Ultralytics would take itself for a part of its own kind of parallel training.
_OF_TORCH = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
_OF_OTHERS = (RuntimeError, OSError, RayError)
_MOST_LOADERS = 8


@dataclass(frozen=True, slots=True)
class Order:
    """What all members of an attempt are given.

    folder: reference to the run folder, by names of files. inputs: the same of files that the
    configuration names, by its fields. places: see `Mirror`. cores: of each. version: of detect-tl
    where it is driven.
    """

    keeper: Any
    attempt: int
    folder: Any
    inputs: Any
    places: Mapping[str, str]
    cores: int
    gpu: bool
    version: str = __version__


def work(settings: Mapping[str, Any]) -> None:
    """Train until the run has ended; an error that would come again is told the keeper.

    Those of connections may be about another process, and then come as one of `_OF_OTHERS`.
    """
    order: Order = settings["order"]
    for name in _OF_TORCH:
        os.environ.pop(name, None)
    with scratch_folder() as scratch:
        run = scratch / "run"
        try:
            _check_version(order)
            _train(order, run)
        except Exception as error:
            if not isinstance(error, _OF_OTHERS):
                told = _as_of_driver(error, run, Path(order.places["save_dir"]))
                ray.get(order.keeper.fail.remote(told))
            raise


def _as_of_driver(error: Exception, here: Path, there: Path) -> Exception:
    """An error that names the run folder where it is kept, and not where it was trained in."""
    if not isinstance(error, DetectTLError):
        return error
    message, hint = (text.replace(str(here), str(there)) for text in (error.message, error.hint))
    path = there if error.path == here else error.path
    return type(error)(message, hint=hint, path=path, line=error.line)


def _check_version(order: Order) -> None:
    if order.version != __version__:
        raise MachineError(
            f"node {socket.gethostname()} has detect-tl {__version__}, not {order.version}",
            hint="Install the same version on all nodes.",
        )


def _train(order: Order, folder: Path) -> None:
    from detect_tl.training.folder import RunFolder
    from detect_tl.training.team import Team

    context = ray.train.get_context()
    team = Team(
        rank=context.get_world_rank(),
        size=context.get_world_size(),
        local_rank=context.get_local_rank(),
        local_size=context.get_local_world_size(),
    )
    run = RunFolder(folder)
    fill(run.path, ray.get(order.folder))
    config = run.config().model_copy(update=_inputs(order, folder.with_name("inputs")))
    config = config.model_copy(
        update={
            "out": run.path,
            "device": _device(order),
            "workers": min(order.cores - 1, _MOST_LOADERS) if order.gpu else 0,
        }
    )
    with ExitStack() as stack:
        with team.in_turn():
            dataset = stack.enter_context(_dataset(order, config))
        described = read_json(run.path / "dataset.json")
        write_json(run.path / "dataset.json", {**described, "path": str(dataset)})
        _carry_on(order, run, config, team)


def _carry_on(order: Order, run: RunFolder, config: TrainConfig, team: Team) -> None:
    from detect_tl.training.run import carry_on
    from detect_tl.training.trainer import Conduct

    if not team.leads:
        carry_on(run, config, Silent(), Conduct(threads=order.cores, team=team))
        return
    mirror = Mirror(run.path, order.keeper, order.attempt, order.places)
    conduct = Conduct(threads=order.cores, team=team, watchers=[mirror])
    carry_on(run, config, Distant(order.keeper, order.attempt), conduct)
    mirror.send()


def _inputs(order: Order, folder: Path) -> dict[str, Any]:
    """The files that the configuration names, where they are on this machine."""
    found: dict[str, Any] = {}
    for field, (name, content) in ray.get(order.inputs).items():
        path = folder / field / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        found[field] = path if field == "kin" else str(path)
    return found


def _device(order: Order) -> str:
    if not order.gpu:
        return "cpu"
    from ray.train.torch import get_device

    return str(get_device().index or 0)


@contextmanager
def _dataset(order: Order, config: TrainConfig) -> Iterator[Path]:
    """Where the data set is on this machine in this block; it is fetched where it is not."""
    manifest = ray.get(order.keeper.manifest.remote())
    if is_here(manifest):
        yield Path(manifest.path)
        return
    cache = LentDataSets(int(config.cache_limit * 1e9))
    part = order.keeper.part
    with cache.borrow(manifest, lambda number: ray.get(part.remote(number))) as folder:
        yield folder
