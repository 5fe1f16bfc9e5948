"""Images, their members and locations: frozen snapshots of rows."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from calotype.model.states import Status


class Visibility(enum.StrEnum):
    """The callers that see an image, besides its owner."""

    PUBLIC = "public"  #: everybody, in lists too
    COMMUNITY = "community"  #: everybody, but in lists only on request
    SHARED = "shared"  #: the members
    PRIVATE = "private"  #: nobody


class MemberStatus(enum.StrEnum):
    """A member's answer to an image that is shared with it.

    By default, the lists of a member show only the shared images that it has accepted.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class LocationState(enum.StrEnum):
    """The state of the bytes at a location."""

    INTENDED = "intended"  #: an upload may be writing them
    PARTIAL = "partial"  #: an open upload session may have some of them
    STORED = "stored"  #: they are the image's
    STAGED = "staged"  #: they wait for an import, and are not the image's yet
    PENDING_DELETE = "doomed"  #: they will be removed


@dataclass(frozen=True, slots=True)
class Location:
    """A blob's key, the name of its store, and the driver's own text for where the blob is.

    `counted` is the number of bytes that count against the owner's limit. A `quarantined` copy is damaged or
    missing.
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
    """A location that a process may hold until `lease_until`, and its image.

    `on_failure` is the status of the image if the upload attempt fails.
    """

    image_id: str
    location: Location
    on_failure: Status | None
    lease_until: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class StoredLocation:
    """The location of a stored blob, with its size in bytes and its SHA-256 in hex if they are known."""

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
    """An image as it was when it was read.

    Sizes are in bytes, `min_disk` is in GiB and `min_ram` in MiB. Times are aware and in UTC. Downloads try
    the `locations` in this order: copies in quarantine are last. `activated_at` is when the image
    first became active.
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
    #: True if the image ever had a job. Most images never had one, and need no query for their jobs.
    has_jobs: bool = False

    @property
    def location(self) -> Location | None:
        """The first location; None if there are no bytes."""
        return self.locations[0] if self.locations else None

    @property
    def store(self) -> str | None:
        """The name of the first location's store; None if there are no bytes."""
        return self.locations[0].store if self.locations else None
