"""Events: what has happened to an image, for listeners and webhooks."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from typing import Any, ClassVar

from calotype.model.states import Status


class EventKind(enum.StrEnum):
    """A kind of event."""

    CREATED = "created"
    ACTIVATED = "activated"  #: the image has become active for the first time
    FAILED = "failed"  #: an upload or an import has failed
    CHANGED = "changed"  #: metadata, the status, or the copies in stores
    SHARED = "shared"  #: its members, or their answers
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Event:
    """An event of an image.

    `number` is its position in the outbox. `id` never changes, and no other event has it. `status` is the
    image's status after the event. `reason` says why an upload or an import failed.
    """

    number: int
    id: str
    kind: EventKind
    image_id: str
    status: Status
    reason: str | None
    at: datetime.datetime

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON values, for listeners and webhooks."""
        return {
            "id": self.id,
            "event": str(self.kind),
            "image": self.image_id,
            "status": str(self.status),
            **({} if self.reason is None else {"reason": self.reason}),
            "time": self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a transfer, for listeners. It is not an event of the outbox, and is not repeated.

    `total` is None if the source has announced no length.
    """

    kind: ClassVar[str] = "progress"

    image_id: str
    store: str
    moved: int
    total: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return {
            "event": self.kind,
            "image": self.image_id,
            "store": self.store,
            "bytes": self.moved,
            "total": self.total,
        }
