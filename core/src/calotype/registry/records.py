"""What the registry hands out: frozen snapshots, with no session behind them."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Status(enum.StrEnum):
    """Where an image is in its life; `calotype.lifecycle` has the table of what follows what."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    KILLED = "killed"
    DELETED = "deleted"


class Visibility(enum.StrEnum):
    """Who sees an image besides its owner."""

    PUBLIC = "public"  #: everybody, in lists too
    COMMUNITY = "community"  #: everybody who knows the id, or asks for such images
    SHARED = "shared"  #: the members
    PRIVATE = "private"  #: nobody


class MemberStatus(enum.StrEnum):
    """What a member says to an image that is shared with it; only accepted ones are in its lists."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class LocationState(enum.StrEnum):
    """What a location row says about the bytes."""

    INTENDED = "intended"  #: an upload may be writing there
    STORED = "stored"  #: the image's bytes
    STAGED = "staged"  #: bytes that wait to be imported; nobody reads them as the image's
    DOOMED = "doomed"  #: to be removed


@dataclass(frozen=True, slots=True)
class Location:
    """Where bytes lie: the store's name and the driver's own text. `key` names the upload attempt.

    `counted` bytes of it are held against its owner's limit. A `quarantined` copy is damaged or gone.
    """

    key: str
    store: str
    location: str | None
    state: LocationState
    external: bool
    counted: int = 0
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class LeasedLocation:
    """A location that is some process's business until `lease_until`, and the image it is meant for.

    `on_failure`: where an attempt that fails leaves the image.
    """

    image_id: str
    location: Location
    on_failure: Status | None
    lease_until: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class StoredLocation:
    """Where an image's own bytes lie, with their size in bytes and their SHA-256 in hex, where known."""

    image_id: str
    key: str
    location: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A project that an image is shared with."""

    project: str
    status: MemberStatus
    can_share: bool
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it was when it was read. Sizes in bytes, `min_disk` GiB, `min_ram` MiB, times aware UTC.

    `locations` are in the order in which they are read from: copies in quarantine are last. `activated_at` is
    when it first had its bytes.
    """

    id: str
    status: Status
    created_at: datetime.datetime
    updated_at: datetime.datetime
    name: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    protected: bool = False
    owner: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    os_hidden: bool = False
    size: int | None = None
    virtual_size: int | None = None
    detected_format: str | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    status_reason: str | None = None
    activated_at: datetime.datetime | None = None
    deleted_at: datetime.datetime | None = None
    deleted_from: Status | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    locations: tuple[Location, ...] = ()
    #: Whether a job was ever written down for it: most images need not be asked about.
    has_jobs: bool = False

    @property
    def location(self) -> Location | None:
        """Where the bytes are read from first; None while there are none."""
        return self.locations[0] if self.locations else None

    @property
    def store(self) -> str | None:
        """The name of the store that holds the bytes."""
        return self.locations[0].store if self.locations else None


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


class FindingKind(enum.StrEnum):
    """A kind of damage to a copy of an image's bytes, or of an object in a store."""

    MISSING = "missing"  #: the bytes of an image are not there
    WRONG_SIZE = "wrong size"  #: there are more or fewer bytes than the image has
    WRONG_DIGEST = "wrong digest"  #: the bytes do not have the image's hash
    UNREADABLE = "unreadable"  #: the store answers, but cannot read these bytes
    UNREACHABLE = "unreachable"  #: the store is away, or is not configured
    ORPHAN = "orphan"  #: an object that belongs to no image
    LEFTOVER = "leftover"  #: parts of an upload that the registry does not know
    SCRUB_STOPPED = "scrub stopped"  #: so many copies of a store are bad that the store itself may be


class FindingState(enum.StrEnum):
    """Where a finding is in its life."""

    OPEN = "open"
    REPAIRED = "repaired"  #: a check removed the cause
    LIFTED = "lifted"  #: an operator ended it; the next check that sees it opens it again
    CLOSED = "closed"  #: a later check found nothing wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong in a store. `subject`: the key of a copy, or the location of an orphan."""

    id: str
    kind: FindingKind
    store: str
    image_id: str | None
    subject: str
    detail: str
    state: FindingState
    found_at: datetime.datetime
    seen_at: datetime.datetime
    closed_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class FindingPage:
    """A slice of a list of findings, and whether more follows."""

    findings: tuple[Finding, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class FindingCount:
    """How many findings of a kind are open in a store."""

    kind: FindingKind
    store: str
    count: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may use; None: as much as it likes."""

    bytes: int | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project's images use: bytes stored or reserved for uploads, and undeleted images."""

    bytes: int
    images: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """What comes in for a project now: images that are getting bytes, and bytes that wait to be imported."""

    images: int
    staged_bytes: int


@dataclass(frozen=True, slots=True)
class Census:
    """How many rows there are of each status, and how many findings are open."""

    images: Mapping[str, int]
    locations: Mapping[str, int]
    jobs: Mapping[str, int]
    findings: tuple[FindingCount, ...]
