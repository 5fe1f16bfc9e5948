"""Errors between a store and the core. They do not know HTTP.

    StoreError                  the fault or state of a store; messages begin with the store's name
    ├── ConfigurationError      the settings are wrong: the service does not start
    │   └── UnusableDriver      the driver cannot be loaded or built, whatever the settings are
    ├── BadLocation             a location that this store does not accept
    │   └── UnsupportedScheme   a location that no store accepts
    ├── BlobNotFound            there are no bytes at the location
    ├── BlobChanged             the bytes are not the registered ones
    ├── Duplicate               the key is taken
    ├── Unsupported             the store does not have the ability
    ├── StoreFull               there is no room now, or the store's quota is used up
    ├── TooLarge                bytes of this size can never fit into the store
    └── Unavailable             the store cannot be reached or used now; try again in `retry_after` seconds
        ├── Misconfigured       an operator must change something: a named store stops the start
        ├── Overdue             the store does not answer, and its driver may still run; raised by the core
        └── Busy                the store answers, but all its slots are in use; raised by the core

    SourceError                 the fault of the client or server that sends the bytes, never of the store
    ├── SourceBroken            the source failed, or ended before its announced length
    ├── SourceMismatch          the size or checksum differs from the declared one
    ├── SourceTooLarge          more bytes than a limit allows
    └── SourceRejected          the bytes are of a kind that is not accepted

A driver raises StoreErrors and lets SourceErrors pass. The core converts any other exception of a driver
into a StoreError with the store's name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class StoreError(Exception):
    """A failure of a store: `store` is its configured name, and `reason` continues a sentence after it."""

    def __init__(self, store: str, reason: str):
        super().__init__(f"store '{store}': {reason}")
        self.store = store
        self.reason = reason


class ConfigurationError(StoreError):
    """The store cannot be built from its settings, or its driver cannot be loaded.

    `option` is the first wrong option; None if the error is not about the value of one option. `place` names
    the line of the ini file, and is set by the code that has read the file.
    """

    place = ""

    def __init__(self, store: str, reason: str, option: str | None = None):
        super().__init__(store, reason)
        self.option = option

    def __str__(self) -> str:
        return f"{self.place}{super().__str__()}"


class UnusableDriver(ConfigurationError):
    """The driver is missing, or its code fails during loading or construction."""


class BadLocation(StoreError):
    """The location does not have a form that this store writes or accepts."""


class UnsupportedScheme(BadLocation):
    """No store accepts the location, so the message names none."""

    def __init__(self, reason: str):
        super().__init__("", reason)

    def __str__(self) -> str:
        return self.reason


class BlobNotFound(StoreError):
    """Nothing is stored at the location."""


class BlobChanged(StoreError):
    """The stored bytes are not the registered ones: their size or validator differs."""


class Duplicate(StoreError):
    """The key already has bytes, which are unchanged."""


class Unsupported(StoreError):
    """The operation needs an ability that the store does not have."""


class StoreFull(StoreError):
    """The store has no room for these bytes now."""


class TooLarge(StoreError):
    """The bytes can never fit: they are more than the store, or one object of it, can hold."""


class Unavailable(StoreError):
    """The store cannot be reached or used at the moment."""

    def __init__(self, store: str, reason: str, retry_after: int = 30):
        super().__init__(store, reason)
        self.retry_after = retry_after


class Misconfigured(Unavailable):
    """The store cannot be used until an operator changes something.

    For instance, its directory or bucket does not exist, or its credentials are refused. If
    `calotype.stores` names the store, the start ends with the reason. Later, this is an ordinary Unavailable.
    `remedy` continues the reason for operators only, for instance with a command.
    """

    def __init__(self, store: str, reason: str, retry_after: int = 30, *, remedy: str = ""):
        super().__init__(store, reason, retry_after)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{super().__str__()}{self.remedy}"


class Overdue(Unavailable):
    """The store has not answered this call in time, or other calls that hang hold all its slots.

    Only the core raises it. The call may still have its effect when the driver returns.
    """


class Busy(Unavailable):
    """The store answers, but all its slots of one kind are in use. Only the core raises it."""

    def __init__(self, store: str, reason: str):
        super().__init__(store, reason, retry_after=5)


class SourceError(Exception):
    """The source failed, or its bytes are not as announced or not accepted. The client gets the message."""


class SourceBroken(SourceError):
    """The source failed, or ended early."""


class SourceMismatch(SourceError):
    """The bytes are complete, but differ from the declared size or checksum."""


class SourceTooLarge(SourceError):
    """The source has more bytes than the limit allows."""


class SourceRejected(SourceError):
    """The bytes are complete and match their announcement, but their kind is not accepted."""


def for_clients(error: BaseException) -> str:
    """Return an error's message without the remedy, which only operators can use."""
    return str(error).removesuffix(getattr(error, "remedy", ""))


def for_operators(error: StoreError) -> str:
    """Return an error's reason and its remedy."""
    return f"{error.reason}{getattr(error, 'remedy', '')}"


@contextlib.contextmanager
def named_errors(store: str) -> Iterator[None]:
    """Convert exceptions that are neither StoreErrors nor SourceErrors into a StoreError.

    The message leaves out the original text, because it may contain hosts, paths or credentials. The
    original is chained, so the log has it.
    """
    try:
        yield
    except (StoreError, SourceError):
        raise
    except (Exception, SystemExit) as error:
        raise StoreError(store, f"its driver failed with {type(error).__name__}") from error
