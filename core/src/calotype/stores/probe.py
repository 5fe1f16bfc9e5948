"""A probe: a small blob that is written, read and deleted, to test that a store works."""

from __future__ import annotations

import contextlib
import io
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calotype.stores.checked import CheckedStore
from calotype.stores.contract import WritableStore
from calotype.stores.errors import BlobNotFound, StoreError
from calotype.stores.measured import Expectations
from calotype.stores.values import Reader

#: The size of the probe in bytes: odd, so that errors at the boundaries of blocks show.
SIZE = 100_003


@dataclass(frozen=True, slots=True)
class Step:
    """One operation; `error` is None if it succeeded, and otherwise the reason."""

    name: str
    error: str | None


def probe(store: CheckedStore) -> Iterator[Step]:
    """Write, read and delete a blob, and yield the outcome of each step.

    If the blob cannot be written, no further step follows. A store that takes no uploads is not touched.
    """
    if not store.can(WritableStore):
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
        try:
            action()
        except StoreError as error:
            yield Step(name, error.reason)
        else:
            yield Step(name, None)


def _read(reader: Reader) -> bytes:
    with contextlib.closing(reader):
        return b"".join(iter(lambda: reader.read(SIZE), b""))


def _expect(got: bytes, wanted: bytes) -> None:
    if got != wanted:
        raise StoreError("probe", "it returned bytes that differ from the written ones")


def _expect_gone(store: CheckedStore, location: str) -> None:
    try:
        store.get(location).close()
    except BlobNotFound:
        return
    raise StoreError("probe", "the blob is still there after it was deleted")
