"""Slots: how many calls, uploads and downloads of a store run at a time, and which of them hang."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class Clock:
    """A clock that runs from a call of a driver until the driver's answer."""

    def __init__(self) -> None:
        self._since: float | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run for the duration of the block."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def idle(self) -> float:
        """Return the seconds since the clock was started; 0 if it is stopped."""
        since = self._since
        return 0 if since is None else time.monotonic() - since


class Slot:
    """A slot for one call, upload or download. It is lost if its work was abandoned."""

    def __init__(self, slots: Slots, idle: Callable[[], float]):
        self.is_lost = False
        self.idle = idle
        self._slots = slots

    def leave(self) -> None:
        """Free the slot."""
        self._slots.free(self)


class Slots:
    """A store's slots for one kind of work: `kind` is calls, uploads or downloads."""

    def __init__(self, kind: str, number: int):
        self.kind = kind
        self.number = number
        self._held: set[Slot] = set()
        self._freed = threading.Condition()

    @property
    def lost(self) -> int:
        """The number of slots held by abandoned work."""
        return self.hanging(float("inf"))

    @property
    def are_taken(self) -> bool:
        """True if no slot is free."""
        return len(self._held) >= self.number

    def hanging(self, seconds: float) -> int:
        """Return the number of slots that are lost, or whose driver has not answered for `seconds`."""
        with self._freed:
            return sum(slot.is_lost or slot.idle() >= seconds for slot in self._held)

    def take(self, idle: Callable[[], float], seconds: float) -> Slot | None:
        """Return a slot, or None if none becomes free within `seconds`.

        `idle` returns how long the driver has not answered, in seconds.
        """
        with self._freed:
            if not self._freed.wait_for(lambda: not self.are_taken, seconds):
                return None
            slot = Slot(self, idle)
            self._held.add(slot)
            return slot

    def free(self, slot: Slot) -> None:
        """Make room for another slot."""
        with self._freed:
            self._held.discard(slot)
            self._freed.notify()
