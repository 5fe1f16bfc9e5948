"""The state table, and what a verb says when it cannot do what was asked.

                  upload               bytes are there                 deactivate
reserve -> queued -------> saving ---------------------> active <-----> deactivated
           ^ ^  |            | the upload fails            ^ ^
           | |  |  register  |                             | |
           | |  +------------|-----------------------------+ |
           | +---------------+----> killed                   |
           |        (where a failure leaves an image         |
           |         is the dialect's choice)                |
           |      stage                import                |
           | queued -------> uploading ------> importing ----+
           | queued ------------ import -----> importing
           +------- it fails ------+---------------+
delete: from any of them -> deleted; an operator can undelete while the bytes are kept
"""

from __future__ import annotations

from collections.abc import Mapping

from calotype.draft import InvalidDraft
from calotype.registry import Status

#: The state table: what each status may become.
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(
        {Status.SAVING, Status.UPLOADING, Status.IMPORTING, Status.ACTIVE, Status.DELETED}
    ),
    Status.UPLOADING: frozenset({Status.IMPORTING, Status.QUEUED, Status.DELETED}),
    Status.IMPORTING: frozenset({Status.ACTIVE, Status.QUEUED, Status.DELETED}),
    Status.SAVING: frozenset({Status.ACTIVE, Status.KILLED, Status.QUEUED, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.DEACTIVATED, Status.DELETED}),
    Status.DEACTIVATED: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.KILLED: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}
#: Everything that is not deleted: whose metadata may change.
ALIVE = frozenset(Status) - {Status.DELETED}


class UnknownStore(InvalidDraft):
    """The draft names a store that is not there, or none and there is no default."""


class UnknownTarget(Exception):
    """An import or a copy is to go into a store that is not there, or takes no uploads."""


class Conflict(Exception):
    """What is asked does not fit what is there."""


class NotAllowed(Exception):
    """The caller may change the image, but not in this way."""


class CallerExpired(Exception):
    """The time of the caller's token ended before the request could change anything."""

    def __init__(self) -> None:
        super().__init__("Authentication is required: the token expired before the request was complete.")


class NotFound(Exception):
    """What the verb is about - a tag, a member - is not there."""


class NotQueued(Exception):
    """Bytes or a location came for an image that is not waiting for any."""


class Protected(Exception):
    """The image is protected from being deleted."""


class Vanished(Exception):
    """The image was deleted while its bytes were on their way."""


class TakenOver(Exception):
    """A sweep ended the upload because the process that received it had not renewed its lease."""

    def __init__(self) -> None:
        super().__init__("The upload was taken over by a sweep after the server stood still: upload again.")


class TooManyDownloads(Exception):
    """As many downloads as may pass through this process do so already; `retry_after` is in seconds."""

    retry_after = 10


class NoGoodCopy(Exception):
    """The image is active, but each of its copies is damaged or gone."""


class NoData(Exception):
    """The image has no bytes to read (yet, or any more)."""
