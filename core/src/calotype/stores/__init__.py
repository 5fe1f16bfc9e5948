"""Stores: the places where image bytes are kept. Authors of drivers import from here and from `toolkit`.

`Store` is the contract, `StoreOptions` declares a driver's settings, and the errors describe failures
independently of HTTP. See docs/writing-a-store.md.
"""

from calotype.config.private_files import give_to_owner_of, make_directory, missing_right
from calotype.config.quantities import Seconds, Size
from calotype.stores.abilities import DirectUrl, External, Listing, LocalFiles, Parts
from calotype.stores.contract import API_VERSION, KEY, LOCATION_MAX, MARKER_KEY, Store, WritableStore
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
    TooLarge,
    Unavailable,
    Unsupported,
)
from calotype.stores.options import StoreOptions
from calotype.stores.values import Blob, Extent, Opened, PartReceipt, Piece, Reader, Stored, StoreInfo

__all__ = [
    "API_VERSION",
    "KEY",
    "LOCATION_MAX",
    "MARKER_KEY",
    "Store",
    "WritableStore",
    "Listing",
    "External",
    "DirectUrl",
    "LocalFiles",
    "Parts",
    "StoreOptions",
    "Size",
    "Seconds",
    "give_to_owner_of",
    "make_directory",
    "missing_right",
    "Reader",
    "Stored",
    "Opened",
    "Blob",
    "Extent",
    "PartReceipt",
    "Piece",
    "StoreInfo",
    "StoreError",
    "ConfigurationError",
    "BadLocation",
    "BlobNotFound",
    "BlobChanged",
    "Duplicate",
    "Unsupported",
    "StoreFull",
    "TooLarge",
    "Unavailable",
    "Misconfigured",
    "SourceError",
    "SourceBroken",
    "SourceMismatch",
    "SourceTooLarge",
    "SourceRejected",
]
