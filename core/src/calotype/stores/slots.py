"""Slots: how many calls, uploads and downloads of a store run at a time, and which of them hang."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class Clock:
    """A clock that runs while a driver has been asked for something and has not answered."""

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
        """Return for how many seconds the clock has been running; 0 if it stands."""
        since = self._since
        return 0 if since is None else time.monotonic() - since


class Slot:
    """The place of one call, upload or download; it is lost if its work was abandoned."""

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
        """Whether no slot is free."""
        return len(self._held) >= self.number

    def hanging(self, seconds: float) -> int:
        """Return the number of lost slots, and of those whose driver has not answered for so many seconds."""
        with self._freed:
            return sum(slot.is_lost or slot.idle() >= seconds for slot in self._held)

    def take(self, idle: Callable[[], float], seconds: float) -> Slot | None:
        """Return a slot, or None if none becomes free within so many seconds.

        `idle` returns for how many seconds the driver has not answered.
        """
        with self._freed:
            if not self._freed.wait_for(lambda: not self.are_taken, seconds):
                return None
            slot = Slot(self, idle)
            self._held.add(slot)
            return slot

    def free(self, slot: Slot) -> None:
        """Let another take the slot's place."""
        with self._freed:
            self._held.discard(slot)
            self._freed.notify()
