"""Which connections of a process are busy."""

from __future__ import annotations

import time
from collections.abc import Callable


class Busy:
    """The connections that began or sent a request in this second or the last one, or whose request runs.

    A connection that sends one short request after another is busy even if none of them runs at the moment.
    A new connection is busy because its first request is about to arrive.
    """

    def __init__(self) -> None:
        self._second = 0
        self._now: set[int] = set()
        self._before: set[int] = set()

    def add(self, descriptor: int) -> None:
        """Record that a connection has begun, or has sent a request. Any thread may call this."""
        self._now.add(descriptor)

    def remove(self, descriptor: int) -> None:
        """Record that a connection is closed."""
        self._now.discard(descriptor)
        self._before.discard(descriptor)

    def count(self, is_served: Callable[[int], bool]) -> int:
        """Return how many connections are busy. Only the thread of the event loop calls this.

        `is_served` returns whether a connection's request still runs or waits.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._before = second, self._now.copy()  # workers add to it
            self._now = {descriptor for descriptor in self._before if is_served(descriptor)}
        return max(len(self._now), len(self._before))
