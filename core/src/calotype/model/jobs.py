"""Jobs: work that outlives the request which asked for it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class JobKind(enum.StrEnum):
    """What a job does."""

    FETCH = "fetch"  #: bytes from an external source into stores
    COPY = "copy"  #: an image's bytes into more stores


class JobStatus(enum.StrEnum):
    """How far a job is."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives its request. `pending` and `failed` are names of stores.

    `reasons` says why stores failed, by their names. `waited` is for how many seconds the job has waited for
    stores that are away, and `waiting_since` when that began; None: it does not wait.
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
        """Whether it is still to be done."""
        return self.status in (JobStatus.PENDING, JobStatus.PROCESSING)

    @property
    def makes_image(self) -> bool:
        """Whether the image was made for the job, as its order's `asked` tells."""
        return "asked" in self.order


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is not at its end. Somebody's until `lease_until`; None: nobody has taken it yet.

    `waits`: until what a dead process left of it is swept, for the image is not its own until then.
    `not_before`: when a job that waits for a store is to be tried again.
    """

    job: Job
    lease_until: datetime.datetime | None
    waits: bool
    not_before: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A slice of a list of jobs, and whether more follows."""

    jobs: tuple[Job, ...]
    more: bool
