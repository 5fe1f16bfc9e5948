"""Digests, computed in parallel to the copy: each algorithm in its own thread, at most a few blocks behind.

`hashlib` releases the interpreter lock for large blocks, so a stream takes as long as the slowest of copy
and digests, instead of their sum. Threads start when a stream has grown past `INLINE` bytes; for shorter
streams they would cost more than they save.
"""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import threading
from collections.abc import Iterable
from types import TracebackType

#: Algorithms whose digests are computed for an upload only if its client declares one.
ON_DEMAND = frozenset({"sha512"})
#: Bytes that are hashed without threads.
INLINE = 1 << 20
#: How many blocks a digest thread may be behind, including the current one. They stay in memory.
BEHIND = 3
#: Digest threads run at a higher niceness, so that requests get the CPU first.
NICENESS = 10


class Digests:
    """Several digests of one stream. Leaving the context manager ends the threads."""

    def __init__(self, algorithms: Iterable[str]):
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self._lanes: list[_Lane] = []
        self._seen = 0

    def update(self, block: bytes) -> None:
        """Add the next block; wait if a digest is `BEHIND` blocks behind."""
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
        """Return the digests of all blocks: algorithm -> lower-case hex."""
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
    """The thread of one digest.

    Its queues are SimpleQueues, which are written in C. A thread with a low priority must not hold a lock of
    Python code while it waits for the CPU, because all other threads would wait for it.
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
        """Wait for room, and pass on the next block; None marks the end."""
        self._room.get()
        self._blocks.put(block)

    def run(self) -> None:
        """Hash blocks until the end."""
        _lower_priority()
        while (block := self._blocks.get()) is not None:
            self._digest.update(block)
            del block
            self._room.put(None)


def _lower_priority() -> None:
    """Raise the niceness of this thread. Only on Linux can a thread have its own niceness."""
    if sys.platform == "linux":
        here = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(here, NICENESS))
