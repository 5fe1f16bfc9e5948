"""A probe: a small blob that is written, read and deleted, to see that a store does what it declares."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Capability, Reader
from calotype.stores.errors import BlobNotFound, StoreError
from calotype.stores.measured import Expectations

#: Bytes of the probe: odd, so that a store which works in blocks shows it.
SIZE = 100_003


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried; `error` is None when it worked, else what is wrong, in words."""

    name: str
    error: str | None


def probe(store: CheckedStore) -> Iterator[Step]:
    """Try what a store declares, on a blob of our own that is removed again;
    nothing more is tried when it cannot be written.

    A store without WRITE or DELETE is not touched.
    """
    if not (store.can(Capability.WRITE) and store.can(Capability.DELETE)):
        return
    data = secrets.token_bytes(SIZE)
    key = f"probe.{secrets.token_hex(8)}"
    try:
        location = store.add(key, io.BytesIO(data), Expectations(length=SIZE)).location
    except StoreError as error:
        yield Step("write", error.reason)
        return
    yield Step("write", None)
    tries: list[tuple[str, Callable[[], object]]] = [
        ("read", lambda: _expect(_read(store.get(location, size=SIZE)), data)),
        ("range", lambda: _expect(_read(store.get(location, 1000, 500, size=SIZE)), data[1000:1500])),
        ("delete", lambda: store.delete(location)),
        ("is gone", lambda: _expect_gone(store, location)),
    ]
    for name, action in tries:
        yield _attempt(name, action)


def _attempt(name: str, action: Callable[[], object]) -> Step:
    try:
        action()
    except StoreError as error:
        return Step(name, error.reason)
    return Step(name, None)


def _read(reader: Reader) -> bytes:
    try:
        blocks = []
        while block := reader.read(SIZE):
            blocks.append(block)
        return b"".join(blocks)
    finally:
        reader.close()


def _expect(got: bytes, wanted: bytes) -> None:
    if got != wanted:
        raise StoreError("probe", "it gave back other bytes than were written")


def _expect_gone(store: CheckedStore, location: str) -> None:
    try:
        store.get(location).close()
    except BlobNotFound:
        return
    raise StoreError("probe", "the blob is still there after it was deleted")
