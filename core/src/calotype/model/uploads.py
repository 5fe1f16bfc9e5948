"""Upload attempts, the keys of their blobs, and the leases by which processes hold them."""

from __future__ import annotations

import datetime
import re
import secrets
from dataclasses import dataclass
from urllib.parse import unquote

from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.states import Status

#: The keys that `new_key` makes.
_KEY = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UploadAttempt:
    """One attempt to write an image's bytes to a store.

    `image` waits for the bytes, and its status becomes `on_success` or `on_failure`. `key` is the key of the
    blob, which no other attempt has. `length` is the announced number of bytes, if any. `caller` is the
    sender of the bytes; None if a job writes them.
    """

    image: Image
    key: str
    store: str
    length: int | None
    on_failure: Status
    on_success: Status = Status.ACTIVE
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A process's claim on a row. Other processes leave the row alone until it expires."""

    owner: str
    until: datetime.datetime


def new_key(image_id: str) -> str:
    """Return a new key, which no other upload attempt has."""
    return f"{image_id}.{secrets.token_hex(6)}"


def keys_in(location: str) -> set[str]:
    """Return the keys that a location contains, in any driver's form of locations."""
    return set(_KEY.findall(unquote(location).lower()))


@dataclass(frozen=True, slots=True)
class Transfer:
    """The progress of an upload attempt or session, as the process that moves the bytes wrote it last.

    `total` is None if the source has announced no length. `moved` is None, and so is `moved_at`, until the
    process has written its progress for the first time. `joins` is true if a session has all its bytes, and
    the image is made of them.
    """

    image_id: str
    key: str
    store: str
    total: int | None
    moved: int | None
    began_at: datetime.datetime
    moved_at: datetime.datetime | None
    joins: bool = False

    @property
    def rate(self) -> float | None:
        """The bytes per second since the beginning; None if nothing has moved yet."""
        if not self.moved or self.moved_at is None or self.moved_at <= self.began_at:
            return None
        return self.moved / (self.moved_at - self.began_at).total_seconds()
