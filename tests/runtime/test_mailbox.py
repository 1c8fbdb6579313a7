from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from detect_tl.runtime.mailbox import Channel, EndedError, Turns


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(5)
    return not thread.is_alive()


def test_a_queue_keeps_everything_in_order_and_makes_the_producer_wait() -> None:
    channel = Channel[int](3)
    most = 0

    def produce() -> None:
        for number in range(50):
            channel.put(number)
        channel.close()

    thread = in_thread(produce)
    taken = []
    for number in channel:
        most = max(most, len(channel._items))
        taken.append(number)
    assert taken == list(range(50))
    assert most <= 3
    assert channel.dropped == 0
    assert ended(thread)


def test_a_mailbox_holds_the_newest_and_never_makes_the_producer_wait() -> None:
    channel = Channel[int](newest=True)
    for number in range(10):
        assert channel.put(number)
    assert channel.get() == 9
    assert channel.dropped == 9


def test_what_was_put_survives_close() -> None:
    for newest in (False, True):
        channel = Channel[str](newest=newest)
        channel.put("last")
        channel.close()
        assert list(channel) == ["last"]
        with pytest.raises(EOFError):
            channel.get()


def test_the_producers_error_follows_the_last_item() -> None:
    channel = Channel[int](2)
    channel.put(1)
    channel.close(ValueError("camera fell off"))
    taken = []
    with pytest.raises(ValueError, match="camera fell off"):
        taken.extend(channel)
    assert taken == [1]


def test_an_eof_error_of_the_producer_is_not_taken_for_the_end() -> None:
    channel = Channel[int]()
    channel.close(EOFError("truncated file"))
    with pytest.raises(EOFError, match="truncated file"):
        list(channel)


def test_the_first_close_counts() -> None:
    channel = Channel[int]()
    channel.close(ValueError("first"))
    channel.close()
    with pytest.raises(ValueError, match="first"):
        channel.get()


@pytest.mark.parametrize("newest", [False, True])
def test_cancel_frees_both_sides(newest: bool) -> None:
    full, empty = Channel[int](newest=newest), Channel[int](newest=newest)
    full.put(1)
    answers: list[object] = []

    def take() -> None:
        with pytest.raises(EOFError):
            empty.get()

    threads = [in_thread(take)]
    if not newest:
        threads.append(in_thread(lambda: answers.append(full.put(2))))
    time.sleep(0.05)
    full.cancel()
    empty.cancel()
    assert all(ended(thread) for thread in threads)
    assert not any(answers)
    assert full.put(3) is False
    with pytest.raises(EOFError):
        full.get()


def test_waiting_takes_nothing() -> None:
    channel = Channel[int](newest=True)
    channel.put(1)
    channel.wait()
    channel.put(2)
    assert channel.get() == 2
    channel.close()
    channel.wait()  # the end is something to wait for, too
    with pytest.raises(EndedError):
        channel.get()


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns = Turns(1)
    turns.take()
    order: list[int] = []
    threads = []

    def work(number: int) -> None:
        for _ in range(3):
            turns.take()
            order.append(number)
            turns.give()

    for number in range(4):
        threads.append(in_thread(lambda number=number: work(number)))
        while len(turns._waiting) <= number:
            time.sleep(0.001)
    turns.give()
    assert all(ended(thread) for thread in threads)
    assert order[:4] == [0, 1, 2, 3]
    assert sorted(order) == sorted([*range(4)] * 3)


def test_no_more_turns_than_permits() -> None:
    turns = Turns(3)
    lock = threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        for _ in range(20):
            turns.take()
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.0005)
            with lock:
                running -= 1
            turns.give()

    threads = [in_thread(work) for _ in range(6)]
    assert all(ended(thread) for thread in threads)
    assert most == 3


def test_a_channel_needs_room() -> None:
    with pytest.raises(ValueError, match="room for 1"):
        Channel[int](0)
