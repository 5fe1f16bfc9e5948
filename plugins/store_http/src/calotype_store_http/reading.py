"""Downloads from a source, which resume after a broken connection unless the source has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calotype.egress import Answer, BadAnswer, BadStatus, EgressError, Forbidden, Unreachable, parse
from calotype.stores import BadLocation, BlobChanged, BlobNotFound, StoreError, Unavailable
from calotype.stores.toolkit import ResumingReader
from calotype_store_http.source import Source

#: Opens the source so that the answer's next byte is the one at this position.
Fetch = Callable[[int], Answer]

#: Statuses of a source that may deliver the bytes later.
LATER = frozenset({408, 425, 429})
#: Statuses of a source that has no bytes for us, now or later.
GONE = frozenset({401, 403, 404, 410})
#: The reason in the error if a source no longer has the registered bytes.
CHANGED = "the source has changed since it was registered"


@dataclass(frozen=True, slots=True)
class Reading:
    """The rules by which a store reads sources and reports errors.

    `to_its_namer` is true if errors go to the client that has just named the source. Only this client sees
    the host, and gets BadLocation for an unusable answer. Clients that read an image get Unavailable.
    """

    store: str
    retries: int
    to_its_namer: bool

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Convert errors of a fetch into errors of the store."""
        try:
            yield
        except EgressError as error:
            raise self.error(error) from error

    def error(self, error: EgressError) -> StoreError:
        """Return the store's error for an error of a fetch."""
        text = str(error) if self.to_its_namer else error.anonymous
        if isinstance(error, Forbidden):
            return BadLocation(self.store, text)
        if isinstance(error, BadStatus):
            if error.status in GONE:
                return BlobNotFound(self.store, text)
            if error.status == 412:
                return BlobChanged(self.store, CHANGED)
            if error.status in LATER or error.status >= 500:
                return Unavailable(self.store, text, error.retry_after or 30)
        if isinstance(error, BadAnswer) and self.to_its_namer:
            return BadLocation(self.store, text)
        return Unavailable(self.store, text)


class SourceReader(ResumingReader):
    """A reader of a source from `position` up to `end`, or to the source's end if that is None."""

    broken = (Unreachable,)
    restores_retries = False
    pause = 0.2

    def __init__(self, reading: Reading, source: Source, fetch: Fetch, position: int, end: int | None):
        """Open the source; raises EgressErrors."""
        self._reading = reading
        self._source = source
        self._fetch = fetch
        super().__init__(reading.store, position, end, reading.retries if source.pinned else 0)

    def open(self) -> Answer:
        return self._fetch(self.position)

    def failure(self, error: Exception | None) -> StoreError:
        if not isinstance(error, EgressError):
            host = parse(self._source.url).host
            error = Unreachable(f"ends at byte {self.position} of {self._source.size}", host)
        return self._reading.error(error)

    def read(self, size: int = -1, /) -> bytes:
        with self._reading.errors():
            block = super().read(size)
            if block and self.position == self._source.size:
                self._expect_end()
        return block

    def _expect_end(self) -> None:
        """Raise BlobChanged if the source has more bytes than were registered."""
        with contextlib.suppress(Unreachable):  # a break after the last byte does no harm
            if self._body is not None and self._body.read(1):
                raise BlobChanged(self.store, "the source has more bytes than were registered")
