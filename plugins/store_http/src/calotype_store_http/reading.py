"""The reader of a source: a stream that goes on, at the same byte of the same bytes, after a break."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from calotype.egress import Answer, BadAnswer, BadStatus, EgressError, Forbidden, Unreachable
from calotype.stores import BadLocation, BlobChanged, BlobNotFound, StoreError, Unavailable
from calotype_store_http.source import Source

log = logging.getLogger(__name__)

#: Seconds before the first new attempt; doubled with each.
PAUSE = 0.2
#: Seconds until a source is to be asked again that does not say when.
RETRY_AFTER = 30

#: Opens the source so that the answer's next byte is the one at this position.
Fetch = Callable[[int], Answer]


#: Statuses that say: ask again later.
LATER = frozenset({408, 425, 429})
#: Statuses that say: not for you, or not there. Nothing that we could do later changes that.
GONE = frozenset({401, 403, 404, 410})
#: What is said of a source that no longer has the bytes that it had.
CHANGED = "the source holds other bytes than were registered"


@contextlib.contextmanager
def store_errors(store: str, *, to_its_namer: bool) -> Iterator[None]:
    """Say in the store's errors what kept a fetch from succeeding.

    `to_its_namer`: the error goes to the client that has just named the source. Only that client is told
    the host, and that an answer cannot be used is its mistake. Others read an image, and ask again later.
    """
    try:
        yield
    except EgressError as error:
        raise _store_error(store, error, to_its_namer=to_its_namer) from error


def _store_error(store: str, error: EgressError, *, to_its_namer: bool) -> StoreError:
    text = str(error) if to_its_namer else error.anonymous
    if isinstance(error, Forbidden):
        return BadLocation(store, text)
    if isinstance(error, BadStatus):
        if error.status in GONE:
            return BlobNotFound(store, text)
        if error.status == 412:
            return BlobChanged(store, CHANGED)
        if error.status in LATER or error.status >= 500:
            return Unavailable(store, text, error.retry_after or RETRY_AFTER)
    if isinstance(error, BadAnswer) and to_its_namer:
        return BadLocation(store, text)
    return Unavailable(store, text)


class SourceReader:
    """The bytes of a source from `offset` up to `end`, or to its own end where its size is not known.

    `fetch` opens the source where the bytes go on; `answer` is what it would return at first, if that is
    there already. `to_its_namer`: as in `store_errors`.
    """

    def __init__(
        self,
        store: str,
        source: Source,
        fetch: Fetch,
        retries: int,
        *,
        offset: int = 0,
        end: int | None = None,
        answer: Answer | None = None,
        to_its_namer: bool = False,
    ):
        self._store = store
        self._to_its_namer = to_its_namer
        self._source = source
        self._fetch = fetch
        self._position = offset
        self._end = end
        self._retries = retries
        self._pause = PAUSE
        self._answer: Answer | None = answer or fetch(offset)

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
        with store_errors(self._store, to_its_namer=self._to_its_namer):
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
                raise Unreachable(f"ends at byte {self._position} of {self._source.size}", self._answer.host)
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
            if self._answer is not None and self._answer.read(1):
                raise BlobChanged(self._store, "the source goes on past its size")
