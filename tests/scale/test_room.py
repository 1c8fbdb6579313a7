"""How cores and GPUs of a cluster are divided among processes."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as some

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.scale.room import Node, Room, room_for, room_within

MIXED = (Node(8), Node(4, 2), Node(0), Node(3, 1))
NODES = some.lists(some.builds(Node, some.integers(0, 64), some.integers(0, 8)), min_size=1)


@pytest.mark.parametrize(
    ("processes", "device", "room"),
    [
        (1, "cpu", Room(1, 8, gpu=False)),
        (2, "cpu", Room(2, 4, gpu=False)),
        (3, "cpu", Room(3, 4, gpu=False)),
        (4, "cpu", Room(4, 3, gpu=False)),
        (15, "cpu", Room(15, 1, gpu=False)),
        (3, "", Room(3, 2, gpu=True)),
        (4, "", Room(4, 3, gpu=False)),  # there are three GPUs
        (2, "0", Room(2, 3, gpu=True)),
        (None, "cpu", Room(3, 4, gpu=False)),  # one on each node that has cores
        (None, "", Room(3, 2, gpu=True)),  # one on each GPU
    ],
)
def test_every_process_has_as_many_cores_as_all_can_have(
    processes: int | None, device: str, room: Room
) -> None:
    assert room_for(MIXED, processes, device) == room


@given(NODES, some.integers(1, 40), some.booleans())
def test_what_is_promised_is_there_and_no_more_would_be(
    nodes: list[Node], processes: int, gpu: bool
) -> None:
    def fitting(cores: int) -> int:
        each = [min(n.cpus // cores, n.gpus if gpu else n.cpus) for n in nodes]
        return sum(each)

    if fitting(1) < processes:
        with pytest.raises(MachineError):
            room_for(nodes, processes, "cuda" if gpu else "cpu")
        return
    room = room_for(nodes, processes, "cuda" if gpu else "cpu")
    assert fitting(room.cores) >= processes > fitting(room.cores + 1)
    assert room_within(nodes, gpu=gpu) == fitting(1)


@pytest.mark.parametrize(
    ("processes", "device", "words"),
    [
        (16, "cpu", "room for 15"),
        (4, "0", "the cluster has 3 GPUs for 4 processes"),
        (4, "cuda", "3 GPUs"),
    ],
)
def test_too_many_are_refused(processes: int, device: str, words: str) -> None:
    with pytest.raises(MachineError, match=words) as caught:
        room_for(MIXED, processes, device)
    assert caught.value.hint


def test_a_gpu_of_apple_has_no_others_to_talk_to() -> None:
    with pytest.raises(UsageError, match="Apple"):
        room_for(MIXED, 2, "mps")
