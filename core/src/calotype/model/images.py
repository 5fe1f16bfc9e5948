"""What the database hands out: frozen snapshots, with no session behind them."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Status(enum.StrEnum):
    """Where an image is in its life; `calotype.images` has the table of what follows what."""

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
    PENDING_DELETE = "doomed"  #: to be removed


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
