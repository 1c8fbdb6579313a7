"""Hand-over between threads: bounded, with errors that reach the other side.

A file keeps every frame and makes its reader wait; a camera cannot wait, so the newest frame
replaces the one that nobody has taken yet.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class EndedError(EOFError):
    """The other side closed the channel; nothing went wrong."""


class Channel(Generic[T]):
    """A queue of at most `capacity` items between one producer and one consumer.

    newest: a full channel drops its oldest item, so `put` never waits; else `put` waits for room.

    What was put before `close` is still delivered; then the consumer gets the producer's error, or
    the end. After `cancel` both sides are free: `put` returns False, and nothing more comes out.
    """

    def __init__(self, capacity: int = 1, *, newest: bool = False) -> None:
        if capacity < 1:
            raise ValueError(f"a channel needs room for 1 item or more, got {capacity}")
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._capacity, self._newest = capacity, newest
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0
        """Number of items that were replaced before anybody took them."""

    def put(self, item: T) -> bool:
        """Hand over an item; return False when nobody wants any more."""
        with self._changed:
            if self._newest and len(self._items) == self._capacity and not self._closed:
                self._items.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: len(self._items) < self._capacity or self._closed)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing follows; `error` is raised at the consumer after the last item."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
                self._changed.notify_all()

    def cancel(self) -> None:
        """Say that nobody takes any more; items that wait are let go."""
        with self._changed:
            self._closed, self._error = True, None
            self._items.clear()
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until there is an item to get, or the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)

    def get(self) -> T:
        """Wait for an item. Raises EndedError at the end, or the producer's own error."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            raise self._error or EndedError("the channel was closed")

    def __iter__(self) -> Iterator[T]:
        """Take items until the end; raise the producer's error if it had one."""
        while True:
            try:
                item = self.get()
            except EndedError:
                return
            yield item


class Turns:
    """Permits for several threads, given in the order in which they were asked for."""

    def __init__(self, permits: int) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._free = permits

    def take(self) -> None:
        """Wait for a permit."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            self._changed.wait_for(lambda: self._free > 0 and self._waiting[0] is me)
            self._waiting.popleft()
            self._free -= 1
            self._changed.notify_all()

    def give(self) -> None:
        """Give a permit back."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()
