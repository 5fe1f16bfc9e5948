"""Digests computed beside the copy: each algorithm in a thread of its own, fed by a bounded queue.

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
#: Blocks waiting for a digest thread: memory is at most this many blocks a digest.
QUEUED = 2
#: Digests are most of the work there is: they stand back where a request waits for a core.
NICENESS = 10


class Digests:
    """Several digests of one stream. Use as a context manager: leaving it ends the threads."""

    def __init__(self, algorithms: Iterable[str]):
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self._queues: list[queue.Queue[bytes | None]] = []
        self._threads: list[threading.Thread] = []
        self._seen = 0

    def update(self, block: bytes) -> None:
        """Take the next block; waits when a digest is more than `QUEUED` blocks behind."""
        self._seen += len(block)
        if not self._threads and self._seen > INLINE and self._hashes:
            self._start()
        if self._threads:
            for waiting in self._queues:
                waiting.put(block)
        else:
            for digest in self._hashes.values():
                digest.update(block)

    def hexdigests(self) -> dict[str, str]:
        """Wait for the digests of all blocks taken: algorithm -> lower-case hex."""
        self._join()
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}

    def __enter__(self) -> Digests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._join()

    def _start(self) -> None:
        for name, digest in self._hashes.items():
            blocks: queue.Queue[bytes | None] = queue.Queue(QUEUED)
            thread = threading.Thread(
                target=_consume, args=(blocks, digest), name=f"digest-{name}", daemon=True
            )
            thread.start()
            self._queues.append(blocks)
            self._threads.append(thread)

    def _join(self) -> None:
        for waiting in self._queues:
            waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._queues.clear()
        self._threads.clear()


def _consume(blocks: queue.Queue[bytes | None], digest: hashlib._Hash) -> None:
    _stand_back()
    while (block := blocks.get()) is not None:
        digest.update(block)


def _stand_back() -> None:
    """Make this thread nicer; only Linux has a niceness for each thread, elsewhere it is the process's."""
    if sys.platform == "linux":
        here = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(here, NICENESS))
