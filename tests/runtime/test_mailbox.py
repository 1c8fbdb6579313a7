from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from detect_tl.runtime.mailbox import Channel


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


def test_a_channel_needs_room() -> None:
    with pytest.raises(ValueError, match="room for 1"):
        Channel[int](0)
