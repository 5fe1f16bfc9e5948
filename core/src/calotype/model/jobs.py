"""Jobs: work that outlives the request that asked for it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class JobKind(enum.StrEnum):
    """A kind of job."""

    FETCH = "fetch"  #: bytes from an external source into stores
    COPY = "copy"  #: an image's bytes into more stores


class JobStatus(enum.StrEnum):
    """The status of a job."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


#: The statuses of a job that has not ended.
OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives its request. `pending` and `failed` are names of stores.

    `reasons` has an explanation for each failed store. `waited` is the time in seconds for which the job has
    waited for unreachable stores. `waiting_since` is when it began to wait; None if it does not wait.
    """

    id: str
    kind: JobKind
    image_id: str
    status: JobStatus
    order: Mapping[str, Any]
    pending: tuple[str, ...]
    failed: tuple[str, ...]
    message: str
    owner: str | None
    user: str | None
    request_id: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    reasons: Mapping[str, str] = field(default_factory=dict)
    waited: float = 0.0
    waiting_since: datetime.datetime | None = None

    @property
    def is_open(self) -> bool:
        """True if the job has not ended."""
        return self.status in OPEN

    @property
    def makes_image(self) -> bool:
        """True if the job was created with a new image. The order's `asked` then describes the image."""
        return "asked" in self.order


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that has not ended. A process holds it until `lease_until`; None if no process has taken it yet.

    `waits` is true if an upload attempt of a dead process must be swept first. `not_before` is the time of
    the next retry if the job waits for a store.
    """

    job: Job
    lease_until: datetime.datetime | None
    waits: bool
    not_before: datetime.datetime | None = None
