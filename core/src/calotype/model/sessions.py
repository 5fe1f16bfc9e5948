"""Upload sessions: uploads that arrive in chunks, and continue after a broken connection."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from calotype.model.states import Status


class SessionStatus(enum.StrEnum):
    """The status of an upload session."""

    OPEN = "open"  #: bytes are missing
    COMPLETE = "complete"  #: all bytes have arrived, and wait to be finished
    FINISHING = "finishing"  #: a process makes the image of them
    FINISHED = "finished"  #: the image is active, or the partial session is part of another one
    FAILED = "failed"  #: the client aborted it, its bytes were refused, or its image was deleted
    EXPIRED = "expired"


#: The statuses of a session that takes bytes.
TAKING = frozenset({SessionStatus.OPEN, SessionStatus.COMPLETE})
#: The statuses of a session that holds a reservation. Every other session has ended.
LIVING = TAKING | {SessionStatus.FINISHING}


class PartState(enum.StrEnum):
    """The state of a part's bytes."""

    SENDING = "sending"  #: a request may be writing them to the staging store
    STORED = "stored"
    PENDING_DELETE = "doomed"  #: they will be removed from the staging store


@dataclass(frozen=True, slots=True)
class Demands:
    """The size in bytes and the digests (algorithm -> hex) that all bytes of a session must have."""

    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """The place of one of a backend's parts: its number, counted from 1, its start and its size in bytes."""

    number: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Grid:
    """The division of an image into cells, each of which becomes one of the backend's parts.

    The first cells have `size` bytes. After every `step` cells their size doubles, up to `largest` bytes, so
    that an image of unknown length fits into a limited number of parts. If `step` is None, all cells have the
    same size.
    """

    size: int
    step: int | None = None
    largest: int | None = None

    def cell_at(self, position: int) -> Cell:
        """Return the cell that contains the byte at this position."""
        number, start, size = 1, 0, self.size
        if self.step is not None:
            largest = self.largest or 1 << 62
            while size < largest and position >= start + self.step * size:
                number, start, size = number + self.step, start + self.step * size, min(2 * size, largest)
        skipped = (position - start) // size
        return Cell(number + skipped, start + skipped * size, size)


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload session as it was when it was read.

    Args:
        id: The session's id.
        status: Its status.
        offset: The number of bytes that have arrived without a gap from the start.
        length: The number of all bytes; None if it was not announced yet.
        expires: The time at which the session expires if no bytes arrive.
        image_id: The image; None if the session is partial, so that its bytes become part of an image when
            the session is concatenated with others.
        reason: The reason if the session has failed.
        project, user: The project and the user that began the session.
        store: The name of the store that gets the image.
        key: The key of the blob; None if the session is partial.
        token: The driver's token for the upload in parts; None if all parts are kept in the staging store.
        grid: The division into the backend's parts; None if a part may be anywhere.
        on_failure: The status of the image if the session fails.
        demands: The requirements on all bytes.
        counted: The bytes of a partial session that are counted against its project's limit.
        writer: The id of the request that writes alone now.
        lease_until: The end of the lease of the process that makes the image of the bytes.
        note: A text of the dialect that began the session, which only dialects read.
    """

    id: str
    status: SessionStatus
    offset: int
    length: int | None
    expires: datetime.datetime
    image_id: str | None = None
    reason: str | None = None
    project: str | None = None
    user: str | None = None
    store: str = ""
    key: str | None = None
    token: str | None = None
    grid: Grid | None = None
    on_failure: Status | None = None
    demands: Demands = field(default_factory=Demands)
    counted: int = 0
    writer: str | None = None
    lease_until: datetime.datetime | None = None
    note: str = ""

    @property
    def is_partial(self) -> bool:
        """True if the session has no image of its own."""
        return self.image_id is None


@dataclass(frozen=True, slots=True)
class StoredPart:
    """Consecutive bytes of a session: `size` bytes from `start`, with their SHA-256 in hex.

    A part in the session's store has the number and the token of the driver's receipt. A part in the staging
    store has the name of that store, and the key and the location of its blob.
    """

    id: str
    session_id: str
    start: int
    size: int
    state: PartState = PartState.STORED
    sha256: str | None = None
    number: int | None = None
    receipt: str | None = None
    store: str | None = None
    key: str | None = None
    location: str | None = None

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + self.size
