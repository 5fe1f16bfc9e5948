"""Running results: the digests and the inspection of a session's bytes, as long as they arrive in order.

They are in the memory of one process, because a digest's state cannot be stored. If the next bytes go to
another process, or do not follow each other, the blob is read when the session is finished.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from calotype.model.images import Image
from calotype.stores.hashing import Digests
from calotype.transfers.inspection import Inspector, Verdict

#: Maximum number of sessions whose results a process keeps. An inspection takes up to a few MiB.
KEPT = 32


@dataclass(frozen=True, slots=True)
class Result:
    """The digests of all bytes (algorithm -> hex), and the verdict on them for the image as it was then."""

    digests: dict[str, str]
    verdict: Verdict | None
    image: Image


class Running:
    """The digests and the inspection of an image's bytes from the first up to `position`.

    `inspector` is None if images are not inspected.
    """

    def __init__(self, image: Image, algorithms: tuple[str, ...], inspector: Inspector | None):
        self.position = 0
        self._image = image
        self._digests = Digests(algorithms)
        self._inspector = inspector

    def update(self, block: bytes) -> None:
        """Add the next bytes."""
        self.position += len(block)
        self._digests.update(block)
        if self._inspector is not None:
            self._inspector.update(block)

    @property
    def problem(self) -> str | None:
        """A sentence if the bytes so far show that the image must be refused, otherwise None."""
        return None if self._inspector is None else self._inspector.early_problem

    def pause(self) -> None:
        """End the threads of the digests. They start again with the next bytes."""
        self._digests.hexdigests()

    def result(self) -> Result:
        """Return the results. Call this once, after the last byte."""
        verdict = None if self._inspector is None else self._inspector.verdict()
        return Result(self._digests.hexdigests(), verdict, self._image)


class RunningResults:
    """The running results of this process, by session. All threads share an instance."""

    def __init__(self) -> None:
        self._kept: dict[str, Running] = {}
        self._lock = threading.Lock()

    def take(self, session_id: str, position: int) -> Running | None:
        """Take the results out if they are those of the bytes up to this position, otherwise drop them."""
        with self._lock:
            running = self._kept.pop(session_id, None)
        return running if running is not None and running.position == position else None

    def keep(self, session_id: str, running: Running) -> None:
        """Keep results for the next chunk, and drop the oldest if there are too many."""
        running.pause()
        with self._lock:
            self._kept[session_id] = running
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
