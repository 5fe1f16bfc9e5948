"""Digests computed beside the copy: each algorithm in a thread of its own, a few blocks behind at most.

`hashlib` lets go of the interpreter lock for large blocks, so a stream then costs
the slowest of copy and digests instead of their sum. Threads start only once a
stream has grown past `INLINE`; below it they would cost more than they save.
"""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import threading
from collections.abc import Iterable
from types import TracebackType

#: Bytes that are hashed in place before threads are started.
INLINE = 1 << 20
#: How many blocks a digest thread may be behind, including the current one; they are kept in memory for it.
BEHIND = 3
#: Digest threads run at a higher niceness, so that requests get the CPU first.
NICENESS = 10


class Digests:
    """Several digests of one stream. Use as a context manager: leaving it ends the threads."""

    def __init__(self, algorithms: Iterable[str]):
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self._lanes: list[_Lane] = []
        self._seen = 0

    def update(self, block: bytes) -> None:
        """Take the next block; waits when a digest is `BEHIND` blocks behind."""
        self._seen += len(block)
        if not self._lanes and self._seen > INLINE:
            for name, digest in self._hashes.items():
                self._lanes.append(_Lane(name, digest))
        for lane in self._lanes:
            lane.put(block)
        if not self._lanes:
            for digest in self._hashes.values():
                digest.update(block)

    def hexdigests(self) -> dict[str, str]:
        """Wait for the digests of all blocks taken: algorithm -> lower-case hex."""
        self._end()
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}

    def __enter__(self) -> Digests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for lane in self._lanes:
            lane.put(None)
        for lane in self._lanes:
            lane.join()
        self._lanes = []


class _Lane(threading.Thread):
    """A digest's own thread.

    Its queues are those that are written in C: a thread that stands back must not do so in the
    middle of a turn of the interpreter, for then all others wait for it.
    """

    def __init__(self, name: str, digest: hashlib._Hash):
        super().__init__(name=f"digest-{name}", daemon=True)
        self._digest = digest
        self._blocks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(BEHIND):
            self._room.put(None)
        self.start()

    def put(self, block: bytes | None) -> None:
        """Hand on the next block, once there is room for it; None is the end."""
        self._room.get()
        self._blocks.put(block)

    def run(self) -> None:
        """Hash until the end comes."""
        _stand_back()
        while (block := self._blocks.get()) is not None:
            self._digest.update(block)
            del block
            self._room.put(None)


def _stand_back() -> None:
    """Make this thread nicer; only Linux has a niceness for each thread, elsewhere it is the process's."""
    if sys.platform == "linux":
        here = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(here, NICENESS))
