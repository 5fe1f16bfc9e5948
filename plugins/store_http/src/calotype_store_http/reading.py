"""The reader of a source: a stream that goes on, at the same byte of the same bytes, after a break."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from calotype.egress import Answer, BadAnswer, Forbidden, Unreachable
from calotype.stores import BadLocation, BlobChanged, Unavailable
from calotype_store_http.source import Source

log = logging.getLogger(__name__)

#: Seconds before the first new attempt; doubled with each.
PAUSE = 0.2

#: Opens the source so that the answer's next byte is the one at this position.
Fetch = Callable[[int], Answer]


@contextlib.contextmanager
def store_errors(store: str) -> Iterator[None]:
    """Say in the store's errors what kept a fetch from succeeding."""
    try:
        yield
    except Forbidden as error:
        raise BadLocation(store, str(error)) from error
    except (Unreachable, BadAnswer) as error:
        raise Unavailable(store, str(error)) from error


class SourceReader:
    """The bytes of a source from `offset` up to `end`, or to its own end where its size is not known."""

    def __init__(self, store: str, source: Source, fetch: Fetch, offset: int, end: int | None, retries: int):
        self._store = store
        self._source = source
        self._fetch = fetch
        self._position = offset
        self._end = end
        self._retries = retries
        self._pause = PAUSE
        self._answer: Answer | None = fetch(offset)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`, b"" only at the end.

        Raises:
            BlobChanged: the source now holds other bytes, or more of them.
            BlobNotFound, Unavailable: it broke off, and could not be taken up again.
        """
        remaining = -1 if self._end is None else self._end - self._position
        if remaining == 0 or size == 0:
            return b""
        wanted = remaining if size is None or size < 0 else size if remaining < 0 else min(size, remaining)
        with store_errors(self._store):
            block = self._next(wanted)
        self._position += len(block)
        if self._position == self._source.size:
            self._expect_end()
        return block

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        if self._answer is not None:
            self._answer.close()

    def _next(self, wanted: int) -> bytes:
        while True:
            try:
                self._answer = self._answer or self._fetch(self._position)
                block = self._answer.read(wanted)
                if block or self._source.size is None:
                    return block
                raise Unreachable  # a clean end, but before the known one
            except Unreachable:
                self._let_go()
                if not self._source.pinned or self._retries == 0:
                    raise
            self._retries -= 1
            log.warning(
                "store '%s': a source broke off at byte %d; trying again", self._store, self._position
            )
            time.sleep(self._pause)
            self._pause *= 2

    def _let_go(self) -> None:
        self.close()
        self._answer = None

    def _expect_end(self) -> None:
        """More bytes than were registered are not the registered ones."""
        with contextlib.suppress(Unreachable):  # broken off after the last byte: nothing is lost
            if self._answer.read(1):
                raise BlobChanged(self._store, "the source goes on past its size")
