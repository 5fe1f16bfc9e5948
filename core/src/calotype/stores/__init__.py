"""Stores: the places where image bytes are kept. Authors of drivers import from here and from `toolkit`.

`Store` is the contract, `StoreOptions` declares a driver's settings, and the errors describe failures
independently of HTTP. See docs/writing-a-store.md.
"""

from calotype.config.private_files import give_to_owner_of, make_directory, missing_right
from calotype.config.quantities import Seconds, Size
from calotype.stores.contract import API_VERSION, KEY, Blob, Capability, Opened, Reader, Store, Stored
from calotype.stores.errors import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    ConfigurationError,
    Duplicate,
    Misconfigured,
    SourceBroken,
    SourceError,
    SourceMismatch,
    SourceRejected,
    SourceTooLarge,
    StoreError,
    StoreFull,
    Unavailable,
    Unsupported,
)
from calotype.stores.options import StoreOptions

__all__ = [
    "API_VERSION",
    "KEY",
    "Store",
    "StoreOptions",
    "Size",
    "Seconds",
    "give_to_owner_of",
    "make_directory",
    "missing_right",
    "Capability",
    "Reader",
    "Stored",
    "Opened",
    "Blob",
    "StoreError",
    "ConfigurationError",
    "BadLocation",
    "BlobNotFound",
    "BlobChanged",
    "Duplicate",
    "Unsupported",
    "StoreFull",
    "Unavailable",
    "Misconfigured",
    "SourceError",
    "SourceBroken",
    "SourceMismatch",
    "SourceTooLarge",
    "SourceRejected",
]
