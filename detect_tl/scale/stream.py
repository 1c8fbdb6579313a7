"""Shards through Ray Data: read on one node, detected on by a pool of actors, and back.

What is on its way is bounded at every place, so that memory does not depend on how many there are.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detect_tl.core.errors import DetectTLError, MachineError
from detect_tl.scale.attempts import Attempts
from detect_tl.scale.detecting import Answer, RayWorker, Work
from detect_tl.scale.shards import Shard

_IN_FLIGHT = 2
"""Shards of an actor: the one that it does, and the one that waits beside it."""


def detected(
    shards: Callable[[], Iterator[Shard]], work: Work, *, gpu: bool, actors: int
) -> Iterator[Answer]:
    """The answers to shards, in the order in which they are ready.

    shards: called on the node of this process; what it gives is taken as fast as it can be done.
    gpu: whether every actor takes a GPU. Raises what an actor or `shards` raised, and MachineError
    when Ray cannot go on.
    """
    import ray

    with _quiet_data():
        # The reader runs on the node of this process, which sees what the user names.
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        attempts = ray.remote(Attempts).options(num_cpus=0, label_selector=here).remote()
        dataset = ray.data.read_datasource(
            _source(shards),
            override_num_blocks=1,
            num_cpus=0,
            label_selector=here,
        ).map_batches(
            RayWorker,
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            fn_constructor_args=(ray.put(work), attempts),
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                max_size=actors,
                initial_size=actors,
                max_tasks_in_flight_per_actor=_IN_FLIGHT,
            ),
            num_cpus=1,
            num_gpus=1 if gpu else 0,
        )
        try:
            # Nothing is fetched ahead: what is done would wait for what comes after it.
            for table in dataset.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                for content in table.column("answer"):
                    yield _opened(content.as_py())
        except (ray.exceptions.RayError, RuntimeError) as error:
            raise _explained(error) from error


def _opened(content: bytes) -> Answer:
    found = pickle.loads(content)  # noqa: S301 - of a process of ours
    if isinstance(found, DetectTLError):
        raise found
    assert isinstance(found, Answer)
    return found


def _explained(error: BaseException) -> MachineError:
    text = str(error).strip()
    if "No module named" in text and "detect_tl" in text:
        return MachineError(
            "detect-tl is not installed on a node of the cluster",
            hint='Install the same version on all of them: pip install "detect-tl[ray]"',
        )
    last = text.splitlines()[-1] if text else type(error).__name__
    return MachineError(
        f"Ray could not go on: {last}",
        hint="What is done is kept; the same command goes on from there.",
    )


def _source(shards: Callable[[], Iterator[Shard]]) -> Any:
    """A source for Ray Data with a single reader: every shard is a row and a block of its own."""
    import pyarrow as pa
    import ray.data
    from ray.data.block import BlockMetadata

    def rows() -> Iterator[Any]:
        try:
            for shard in shards():
                yield pa.table({"shard": pa.array([pickle.dumps(shard)], pa.large_binary())})
        except DetectTLError as error:
            yield pa.table({"shard": pa.array([pickle.dumps(error)], pa.large_binary())})

    class Source(ray.data.Datasource):  # type: ignore[misc]  # Ray is not typed here
        def get_read_tasks(self, parallelism: int, *_args: Any, **_named: Any) -> list[Any]:
            del parallelism
            known = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ray.data.ReadTask(rows, known)]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    return Source()


@contextmanager
def _quiet_data() -> Iterator[None]:
    """No bars and no talk of Ray Data, and a block for every shard."""
    import ray.data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of settings that Ray itself sets
        context = ray.data.DataContext.get_current()
    wanted = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "target_max_block_size": 1,
    }
    before = {name: getattr(context, name) for name in wanted}
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # errors are raised
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        logger.setLevel(level)
