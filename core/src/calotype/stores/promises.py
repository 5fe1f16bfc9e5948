"""Checks of the values that drivers return. A wrong value becomes an error that names the store.

Without these checks, a wrong value would cause an internal error far from the driver, or reach a client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from calotype.stores.contract import LOCATION_MAX
from calotype.stores.errors import StoreError
from calotype.stores.values import Blob, Extent, Opened, Reader, Stored, StoreInfo

Value = TypeVar("Value")

_URL = re.compile(r"https?://[!-~]{1,8000}", re.ASCII)
_PATH = re.compile(r"(?!/)(?!(?:.*/)?\.\.?(?:/|\Z))[!-~]{1,1024}", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
#: Maximum number of extents of a blob that are read from a driver. Each takes some microseconds.
EXTENTS_READ_MAX = 1 << 17


def is_location(location: object) -> bool:
    """Return whether the database can keep this location."""
    return is_text(location) and location != ""


def is_text(text: object) -> bool:
    """Return whether the database can keep this text of a driver, which may be empty."""
    return isinstance(text, str) and len(text) <= LOCATION_MAX and text.isascii() and text.isprintable()


def require(store: str, value: object, kind: type[Value], method: str) -> Value:
    """Return `value` if it is an instance of `kind`.

    Raises:
        StoreError: it is of another class; the message names the driver's method.
    """
    if isinstance(value, kind):
        return value
    raise StoreError(
        store, f"its driver's {method} returned {type(value).__name__} instead of {kind.__name__}"
    )


def require_size(store: str, size: object, method: str = "size") -> int | None:
    """Return a size in bytes, or None if it is unknown. Raise StoreError for any other value."""
    # A driver may return the value of an option of the type Size, whose class is derived from int.
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 0):
        return size
    raise StoreError(store, f"its driver's {method} returned a size that is no number of bytes")


def require_stored(store: str, stored: object, method: str) -> Stored:
    """Return a receipt whose fields have the right types. Raise StoreError for any other value.

    The caller checks the length of the location.
    """
    receipt = require(store, stored, Stored, method)
    require(store, receipt.location, str, method)
    require_size(store, receipt.size, method)
    if receipt.md5 is not None and not _MD5.fullmatch(require(store, receipt.md5, str, method)):
        raise StoreError(store, f"its driver's {method} returned an MD5 that is not lower-case hex")
    return receipt


def require_opened(store: str, opened: object) -> Opened:
    """Return the opened bytes of a URI. Raise StoreError for any other value."""
    found = require(store, opened, Opened, "open_uri")
    require_size(store, found.size, "open_uri")
    require_reader(store, found.reader, "open_uri")
    return found


def require_reader(store: str, reader: object, method: str = "get") -> Reader:
    """Return a reader. Raise StoreError for a value without `read` and `close`."""
    if isinstance(reader, Reader):
        return reader
    raise StoreError(store, f"its driver's {method} returned {type(reader).__name__} instead of a reader")


def require_block(store: str, block: object, most: int) -> bytes:
    """Return a block of at most `most` bytes; a negative `most` is no limit. Raise StoreError otherwise."""
    if not isinstance(block, bytes):
        raise StoreError(store, f"its reader returned {type(block).__name__} instead of bytes")
    if 0 <= most < len(block):
        raise StoreError(store, f"its reader returned {len(block)} bytes where {most} were requested")
    return block


def require_url(store: str, url: object) -> str | None:
    """Return a URL for a client's header, or None if there is none. Raise StoreError for any other value."""
    if url is None or (isinstance(url, str) and _URL.fullmatch(url)):
        return url
    raise StoreError(store, "its driver's direct_url returned no URL")


def require_path(store: str, path: object) -> str:
    """Return a path that stays below the store's directory. Raise StoreError for any other value."""
    if isinstance(path, str) and _PATH.fullmatch(path):
        return path
    raise StoreError(store, "its driver's file_path returned a path that may lead out of its directory")


def require_listed(store: str, listed: Iterable[object], method: str) -> Iterator[Blob]:
    """Yield the entries of a listing. Raise StoreError at an entry with wrong values."""
    for entry in listed:
        blob = require(store, entry, Blob, method)
        require(store, blob.location, str, method)
        if require_size(store, blob.size, method) is None or getattr(blob.modified, "tzinfo", None) is None:
            raise StoreError(
                store, f"its driver's {method} returned an entry without a size or an aware time"
            )
        yield blob


def require_info(store: str, info: object) -> StoreInfo:
    """Return a StoreInfo with valid sizes. Raise StoreError for any other value."""
    found = require(store, info, StoreInfo, "info")
    for size in (found.capacity, found.free, found.largest):
        require_size(store, size, "info")
    return found


def require_extents(store: str, extents: Iterable[object], size: int) -> Iterator[Extent]:
    """Yield extents that cover all bytes, in order and without gaps. Raise StoreError at the first wrong one.

    If there are more than EXTENTS_READ_MAX, yield the rest of the blob as data, which is never wrong.
    """
    end = 0
    for number, value in enumerate(extents):
        if number == EXTENTS_READ_MAX:
            yield Extent(end, size - end)
            return
        extent = require(store, value, Extent, "extents")
        if extent.offset != end or not 0 < extent.length <= size - end:
            raise StoreError(store, "its driver's extents have gaps, or exceed the image")
        yield extent
        end += extent.length
    if end != size:
        raise StoreError(store, f"its driver's extents cover {end} bytes of an image of {size}")
