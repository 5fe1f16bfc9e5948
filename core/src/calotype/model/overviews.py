"""The records of overviews for operators: transfers, failures, usage, unused images, and pending removals."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The position of a record in a list by time, whose records come from several tables.

    Records with the same time are sorted by `source` and then by `id`. `source` is the table that a record
    comes from, or "" if the ids of all tables of the list are unique together.
    """

    at: datetime.datetime
    source: str
    id: str

    def __str__(self) -> str:
        """Return the position as a text without blanks, for a link to the next page."""
        return f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}~{self.source}~{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Return the position that a text describes. Raise ValueError if it describes none."""
        at, source, record_id = text.split("~", 2)
        moment = datetime.datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ")
        return cls(moment.replace(tzinfo=datetime.UTC), source, record_id)


class TransferKind(enum.StrEnum):
    """The reason why bytes arrive in a store."""

    UPLOAD = "upload"
    STAGE = "stage"  #: an upload for an import
    IMPORT = "import"
    COPY = "copy"  #: from one of the image's stores to another
    SESSION = "session"  #: an upload session: it may be idle between two requests


@dataclass(frozen=True, slots=True)
class RunningTransfer:
    """An upload attempt, an import, a copy, or an open upload session.

    Args:
        kind: The reason of the transfer.
        id: The key of the upload attempt, or the id of the upload session.
        image_id, image_name: The image; both are None if the session is partial.
        project: The owner of the image, or of the session.
        store: The store that gets the bytes.
        moved: The bytes that have arrived so far.
        total: All bytes; None if their number was not announced.
        began_at: When the transfer began.
        moved_at: When `moved` was recorded; None if nothing was recorded yet.
        host, pid: The process that moves the bytes; None if it has no heartbeat, or if the session is idle.
    """

    kind: TransferKind
    id: str
    image_id: str | None
    image_name: str | None
    project: str | None
    store: str
    moved: int
    total: int | None
    began_at: datetime.datetime
    moved_at: datetime.datetime | None
    host: str | None = None
    pid: int | None = None

    @property
    def position(self) -> Position:
        """The position in the list of running transfers."""
        return Position(self.began_at, "", self.id)

    @property
    def rate(self) -> float | None:
        """The bytes per second from the beginning to `moved_at`; None if nothing has moved yet."""
        if not self.moved or self.moved_at is None or self.moved_at <= self.began_at:
            return None
        return self.moved / (self.moved_at - self.began_at).total_seconds()


class FailureKind(enum.StrEnum):
    """The kind of work or check that failed."""

    CHANGE = "change"  #: an upload, an import, a copy, or another change of an image
    FINDING = "finding"  #: an open finding of fsck or the scrubber
    WEBHOOK = "webhook"  #: the receiver of a webhook refused its last event


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that failed, and the reason.

    Args:
        at: When it failed, or when the finding was made.
        kind: The kind of failure.
        id: The id of the audit record or of the finding, or the name of the webhook.
        what: The verb of the change, the kind of the finding, or "delivery".
        reason: Why it failed.
        image_id: The image that it is about, if any.
        store: The store of a finding.
        project, user: The project and the user of a change.
    """

    at: datetime.datetime
    kind: FailureKind
    id: str
    what: str
    reason: str
    image_id: str | None = None
    store: str | None = None
    project: str | None = None
    user: str | None = None

    @property
    def position(self) -> Position:
        """The position in the list of failures."""
        return Position(self.at, self.kind, self.id.zfill(20))


@dataclass(frozen=True, slots=True)
class Held:
    """The stored copies of one store, and their bytes. External locations count as copies without bytes."""

    copies: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ProjectUsage:
    """The usage of a project, as its limits count it, and its upload sessions that have not ended."""

    project: str
    images: int
    bytes: int
    sessions: int


@dataclass(frozen=True, slots=True)
class UnusedImage:
    """An active image that was not downloaded for some time.

    `last_download` is the day of its newest download that is still counted; None if there is none.
    """

    id: str
    name: str | None
    project: str | None
    size: int | None
    created_at: datetime.datetime
    last_download: datetime.date | None

    @property
    def position(self) -> Position:
        """The position in the list of unused images."""
        return Position(self.created_at, "", self.id)


class PendingKind(enum.StrEnum):
    """The kind of bytes that a sweep will remove."""

    ABANDONED = "abandoned upload"  #: its process has stopped renewing the lease
    DELETED = "pending delete"  #: the image was deleted, or the copy was replaced or refused
    SESSION = "upload session"  #: it expires unless more bytes arrive


@dataclass(frozen=True, slots=True)
class PendingRemoval:
    """Bytes that a sweep will remove.

    Args:
        due: When the first sweep may remove them.
        kind: The kind of bytes, which is also the reason.
        id: The key of the blob, or the id of the upload session.
        image_id: The image; None if the session is partial.
        store: The store that has the bytes.
        size: Their size in bytes; None if it is unknown.
    """

    due: datetime.datetime
    kind: PendingKind
    id: str
    image_id: str | None
    store: str
    size: int | None

    @property
    def position(self) -> Position:
        """The position in the list of pending removals."""
        return Position(self.due, "", self.id)
