"""The state table of images.

                  upload               upload complete                 deactivate
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

An image that is created together with its bytes, or with an import, begins as saving or importing. While an
upload session is open its image is queued. If the session fails, the image may become killed, too.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Status(enum.StrEnum):
    """The status of an image. `NEXT` is the state table."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    KILLED = "killed"
    DELETED = "deleted"


#: The statuses that may follow each status.
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(
        {
            Status.SAVING,
            Status.UPLOADING,
            Status.IMPORTING,
            Status.ACTIVE,
            Status.KILLED,
            Status.DELETED,
        }
    ),
    Status.UPLOADING: frozenset({Status.IMPORTING, Status.QUEUED, Status.DELETED}),
    Status.IMPORTING: frozenset({Status.ACTIVE, Status.QUEUED, Status.DELETED}),
    Status.SAVING: frozenset({Status.ACTIVE, Status.KILLED, Status.QUEUED, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.DEACTIVATED, Status.DELETED}),
    Status.DEACTIVATED: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.KILLED: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}
#: The statuses of new images.
FIRST = frozenset({Status.QUEUED, Status.SAVING, Status.IMPORTING})
#: The statuses in which metadata may change: all but deleted.
ALIVE = frozenset(Status) - {Status.DELETED}


def can_become(status: Status, wanted: Status) -> bool:
    """Return whether an image with this status can still get the status `wanted`, in any number of steps."""
    seen, further = {status}, [status]
    while further:
        following = NEXT[further.pop()] - seen
        seen |= following
        further += following
    return wanted in seen
