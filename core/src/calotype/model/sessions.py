"""Upload sessions: uploads that arrive in chunks, and continue after a broken connection."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass


class SessionStatus(enum.StrEnum):
    """The status of an upload session."""

    OPEN = "open"  #: bytes are missing
    COMPLETE = "complete"  #: all bytes have arrived, and wait to be finished
    FINISHING = "finishing"  #: a process makes the image of them
    FINISHED = "finished"  #: the image is active, or the partial session is part of another one
    FAILED = "failed"  #: the client aborted it, its bytes were refused, or its image was deleted
    EXPIRED = "expired"


#: The statuses of a session that holds a reservation. Every other session has ended.
LIVING = frozenset({SessionStatus.OPEN, SessionStatus.COMPLETE, SessionStatus.FINISHING})


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload session as it was when it was read.

    `offset` is the number of bytes that have arrived without a gap from the start, and `length` the number of
    all bytes (None: not announced yet). `image_id` is None if the session is partial: its bytes become part of
    an image when it is concatenated with others. `reason` says why the session failed.
    """

    id: str
    status: SessionStatus
    offset: int
    length: int | None
    expires: datetime.datetime
    image_id: str | None = None
    reason: str | None = None
