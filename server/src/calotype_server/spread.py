"""How the processes of a server divide new connections: each goes to the process with the least to do.

The processes listen on the same sockets. The kernel wakes one of them for a new connection, and not always
the one that has the least to do. Therefore each process publishes its load in memory that all of them share.
A process that is woken although another one has less to do wakes that one instead, and then leaves new
connections alone for a moment. A connection that still waits after that moment is accepted anyway, because
the other process may hang.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable

from waitress import wasyncore

#: Seconds for which a process leaves new connections to others.
_PATIENCE = 0.01
#: The loads of a process that does not serve, and of one that accepts no connections now.
_ABSENT, _FULL = -1, (1 << 62)
#: A busy connection counts for more than any number of idle ones. Running requests are not counted, because
#: of two processes with connections that send short requests, either may run none of them at the moment.
_BUSY = 1 << 32
_BYTES = 8


class Loads:
    """The load of each process, in shared memory. Make it before the processes are forked.

    Each process writes only its own number. A number is written and read in one instruction of the processor.
    """

    def __init__(self, count: int):
        self._loads = memoryview(mmap.mmap(-1, count * _BYTES)).cast("q")
        #: A descriptor for each process, whose reader is woken by a write to it.
        self.bells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(count)]
        for number in range(count):
            self.forget(number)

    def publish(self, number: int, load: int) -> None:
        """Set the load of a process."""
        self._loads[number] = load

    def forget(self, number: int) -> None:
        """Record that a process does not serve."""
        self._loads[number] = _ABSENT

    def serves(self, number: int) -> bool:
        """Return whether a process serves."""
        return self._loads[number] != _ABSENT

    def less_loaded(self, load: int) -> int | None:
        """Return the serving process with the least load; None if none has less than `load`."""
        lower = [(other, number) for number, other in enumerate(self._loads) if _ABSENT < other < load]
        return min(lower)[1] if lower else None

    def ring(self, number: int) -> None:
        """Wake a process, because a connection waits that it should accept."""
        os.eventfd_write(self.bells[number], 1)


class Share:
    """The share of one process in the new connections. Only the thread of its event loop uses it."""

    def __init__(self, loads: Loads, number: int):
        self.number = number
        self._loads = loads
        #: The time.monotonic() until which this process leaves connections to others; None if it does not.
        self._rests_until: float | None = None
        #: True in the turn of the loop in which a rest ends: a connection that waits then waited too long.
        self._has_rested = False

    def open(self, busy: int, connections: int, *, is_full: bool) -> bool:
        """Publish this process's load, and return whether it waits for new connections now.

        `busy` is the number of connections that are busy, `connections` that of all.
        """
        self._loads.publish(self.number, _FULL if is_full else _BUSY * busy + connections)
        self._has_rested = self._rests_until is not None and time.monotonic() >= self._rests_until
        if self._has_rested:
            self._rests_until = None
        return not is_full and self._rests_until is None

    def close(self) -> None:
        """Record that this process accepts no more connections."""
        self._loads.forget(self.number)

    def takes(self, busy: int, connections: int) -> bool:
        """Return whether this process should accept the waiting connection; otherwise wake another one."""
        load = _BUSY * busy + connections
        self._loads.publish(self.number, load)
        other = None if self._has_rested else self._loads.less_loaded(load)
        if other is None:
            self._has_rested = False
            return True
        self._rests_until = time.monotonic() + _PATIENCE
        self._loads.ring(other)
        return False

    def timeout(self, longest: float) -> float:
        """Return how many seconds the loop may wait for events, at most `longest`."""
        if self._has_rested:
            return 0.0
        return longest if self._rests_until is None else max(0.0, self._rests_until - time.monotonic())

    def listen(self, watched: dict[int, object], on_ring: Callable[[], None]) -> None:
        """Call `on_ring` when another process has left a connection to this one."""
        Signal(self._loads.bells[self.number], watched, on_ring)


class Signal(wasyncore.file_dispatcher):
    """A descriptor in the event loop, with a function to call when it can be read or its writer is gone."""

    def __init__(self, descriptor: int, watched: dict[int, object], act: Callable[[], None]):
        super().__init__(descriptor, map=watched)
        self._act = act

    def writable(self) -> bool:
        """Return False."""
        return False

    def handle_read(self) -> None:
        """Read what was written, and act."""
        self.recv(_BYTES)
        self._act()

    def handle_close(self) -> None:
        """Stop watching, and act."""
        self.close()
        self._act()
