"""How much of a cluster each of several processes gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.words import counted

_ANSWERS_WITHIN = 30.0  # seconds, in which a node can start a process also when it is busy


@dataclass(frozen=True, slots=True)
class Node:
    """What a machine of a cluster has."""

    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """How many processes there are, with how many cores each, and whether with a GPU each."""

    processes: int
    cores: int
    gpu: bool

    def __str__(self) -> str:
        each = f"{counted(self.cores, 'core')}{' and a GPU' if self.gpu else ''}"
        return f"{counted(self.processes, 'process', 'processes')} of {each}"


def nodes_of_cluster() -> list[Node]:
    """The living nodes."""
    import ray

    return [_node(found) for found in ray.nodes() if found["Alive"]]


def nodes_that_answer() -> list[Node]:
    """Those that take up work now: Ray needs a while to see that a machine is gone."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    answers = {}
    for found in (found for found in ray.nodes() if found["Alive"]):
        there = NodeAffinitySchedulingStrategy(found["NodeID"], soft=False)
        task = ray.remote(_is_there).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        answers[task.remote()] = found
    done, _ = ray.wait(list(answers), num_returns=len(answers), timeout=_ANSWERS_WITHIN)
    return [_node(answers[task]) for task in done if _worked(task)]


def _is_there() -> bool:
    return True


def _worked(task: Any) -> bool:
    import ray

    try:
        return bool(ray.get(task))
    except ray.exceptions.RayError:
        return False


def _node(found: Mapping[str, Any]) -> Node:
    total = found.get("Resources", {})
    return Node(int(total.get("CPU", 0)), int(total.get("GPU", 0)))


def room_for(nodes: Sequence[Node], processes: int | None, device: str) -> Room:
    """Divide a cluster among processes: None for one on every GPU, or else on every node.

    device: as a configuration has it; empty for GPUs where there are enough. Cores are as many as
    every process can have. Raises MachineError when there is no room for so many.
    """
    gpus = sum(node.gpus for node in nodes)
    gpu = _on_gpus(device, gpus, processes)
    if processes is None:
        processes = max(gpus if gpu else sum(node.cpus > 0 for node in nodes), 1)
    most = room_within(nodes, gpu=gpu)
    if most < processes:
        kind = "with a GPU each" if gpu else "with a core each"
        raise MachineError(
            f"{processes} processes {kind} were asked for, and the cluster has room for {most}",
            hint=f"Ask for --workers {most}, or add nodes." if most else "Add nodes with cores.",
        )
    cores = max(node.cpus for node in nodes)
    while _fitting(nodes, cores, gpu=gpu) < processes:
        cores -= 1
    return Room(processes, cores, gpu)


def room_within(nodes: Sequence[Node], *, gpu: bool) -> int:
    """At most how many processes there is room for."""
    return _fitting(nodes, 1, gpu=gpu)


def _on_gpus(device: str, gpus: int, processes: int | None) -> bool:
    if device == "mps":
        raise UsageError(
            "the GPU of an Apple processor cannot train together with others",
            hint="Use --device cpu, or leave out --engine ray.",
        )
    if device == "cpu":
        return False
    if device == "":
        return gpus >= (processes or 1)
    if gpus < (processes or 1):
        raise MachineError(
            f"device {device} was asked for, but the cluster has {counted(gpus, 'GPU')} for"
            f" {counted(processes or 1, 'process', 'processes')}",
            hint="Use --device cpu, fewer --workers, or add nodes with GPUs.",
        )
    return True


def _fitting(nodes: Sequence[Node], cores: int, *, gpu: bool) -> int:
    each = ((node.cpus // cores, node.gpus) for node in nodes)
    return sum(min(by_cores, gpus) if gpu else by_cores for by_cores, gpus in each)
