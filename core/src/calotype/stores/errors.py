"""What can go wrong between a store and the core. Nothing here knows HTTP.

    StoreError                  the store's fault or state; every message names the store, if there is one
    ├── ConfigurationError      the settings are wrong: the service does not start
    │   └── UnusableDriver      the driver cannot be loaded or built, whatever the settings say
    ├── BadLocation             a location this store does not take
    │   └── UnsupportedScheme             a location that no store takes
    ├── BlobNotFound            there are no bytes at that location
    ├── BlobChanged             the bytes are not the ones that were registered
    ├── Duplicate               that key is taken
    ├── Unsupported             the store does not declare that capability
    ├── StoreFull               no room, or over the store's own quota
    └── Unavailable             cannot be reached or used now; ask again in `retry_after` seconds
        ├── Misconfigured       an operator has to change something: a named store stops the start
        ├── Overdue             does not answer, and its driver may still be at work; drivers never raise it
        └── Busy                answers, but serves as much as it may; drivers never raise it

    SourceError                 the fault of whoever sends the bytes, never of the store
    ├── SourceBroken            the source failed, or ended before its announced length
    ├── SourceMismatch          size or checksum is not what was declared
    ├── SourceTooLarge          more bytes than a limit allows
    └── SourceRejected          the bytes are of a kind that is not taken

A driver raises StoreErrors and lets SourceErrors through untouched. Whatever else
it raises is turned into a StoreError that carries the store's name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class StoreError(Exception):
    """Something about a store: `store` is its configured name, `reason` a full sentence part."""

    def __init__(self, store: str, reason: str):
        super().__init__(f"store '{store}': {reason}")
        self.store = store
        self.reason = reason


class ConfigurationError(StoreError):
    """The store cannot be built from its settings, or its driver cannot be loaded.

    `option` is the first option that is wrong; None where it is not one option's value. `place` is where it
    stands in the ini file, for people; whoever knows the file sets it.
    """

    place = ""

    def __init__(self, store: str, reason: str, option: str | None = None):
        super().__init__(store, reason)
        self.option = option

    def __str__(self) -> str:
        return f"{self.place}{super().__str__()}"


class UnusableDriver(ConfigurationError):
    """The driver is missing, or its code fails while it is loaded or built."""


class BadLocation(StoreError):
    """The location does not have the form that this store writes or accepts."""


class UnsupportedScheme(BadLocation):
    """No store takes the location; so the sentence names none."""

    def __init__(self, reason: str):
        super().__init__("", reason)

    def __str__(self) -> str:
        return self.reason


class BlobNotFound(StoreError):
    """Nothing is stored at the location."""


class BlobChanged(StoreError):
    """What is stored is not what was registered: other size, other validator."""


class Duplicate(StoreError):
    """The key already holds bytes, which stay as they are."""


class Unsupported(StoreError):
    """The operation needs a capability that the store does not declare."""


class StoreFull(StoreError):
    """The store has no room for these bytes."""


class Unavailable(StoreError):
    """The store cannot be reached or used at the moment."""

    def __init__(self, store: str, reason: str, retry_after: int = 30):
        super().__init__(store, reason)
        self.retry_after = retry_after


class Misconfigured(Unavailable):
    """The store cannot be used, and waiting will not change that: an operator has to change something.

    For instance its directory or bucket does not exist, or its credentials are refused. The start ends with
    the reason when `calotype.stores` names the store. Later it is as any other Unavailable.
    """


class Overdue(Unavailable):
    """The store has not answered in time, or too many calls to it have not.

    The core raises it. What was asked for may still happen, whenever the driver comes back.
    """


class Busy(Unavailable):
    """The store answers, and all its slots for calls, uploads or downloads are in use. The core raises it."""

    def __init__(self, store: str, reason: str):
        super().__init__(store, reason, retry_after=5)


class SourceError(Exception):
    """The bytes did not come as they were announced; the message is for the client."""


class SourceBroken(SourceError):
    """The source failed or stopped half way."""


class SourceMismatch(SourceError):
    """The bytes are complete, but not the ones that were declared."""


class SourceTooLarge(SourceError):
    """The source goes on past the limit."""


class SourceRejected(SourceError):
    """The bytes came as announced, but are of a kind that is not taken."""


@contextlib.contextmanager
def named_errors(store: str) -> Iterator[None]:
    """Let StoreErrors and SourceErrors through; give everything else the store's name.

    The original text stays out of the message, for it may hold hosts, paths or
    credentials; it is chained, and so reaches the log.
    """
    try:
        yield
    except (StoreError, SourceError):
        raise
    except (Exception, SystemExit) as error:
        raise StoreError(store, f"its driver failed with {type(error).__name__}") from error
