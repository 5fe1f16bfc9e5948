"""BlockStore: images in one large file that is cut into slots of a fixed size.

An image takes the next free slots, in any order. A slot of zeros is not written. The index of the slots, and
the rule for when a slot may be reused, are in `calotype_store_blocks.place`.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, field_validator

from calotype.stores import (
    Blob,
    BlobChanged,
    BlobNotFound,
    Extent,
    Listing,
    Reader,
    Size,
    Stored,
    StoreError,
    StoreFull,
    StoreInfo,
    StoreOptions,
    TooLarge,
    WritableStore,
)
from calotype.stores.toolkit import key_of
from calotype_store_blocks.place import Held, Place, create, translated

__all__ = ["BlockOptions", "BlockStore"]

SCHEME = "blocks:"


class BlockOptions(StoreOptions):
    """The options `store.NAME.*`."""

    path: Path = Field(description="absolute path of the directory for the slots and their index")
    slot_size: Size = Field(Size(4 << 20), ge=4096, description="bytes of a slot; cannot be changed later")
    slots: int = Field(ge=1, description="number of slots; cannot be changed later")

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value


class BlockStore(WritableStore[BlockOptions], Listing):
    """Images in slots. All state is on disk, and any number of processes may use it."""

    api_version = (2, 0)
    Options = BlockOptions
    ranges = True

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        key = self._key(location)
        with self._place() as place:
            held = place.hold(key)
            with translated(self.name):
                file = io.FileIO(os.dup(place.file.fileno()))
        return SlotReader(self, file, held, offset)

    def size(self, location: str) -> int | None:
        return self._find(location).size

    def extents(self, location: str, size: int) -> Iterator[Extent]:
        held, slot_size = self._find(location), self.options.slot_size
        if held.size != size:
            raise BlobChanged(self.name, f"it holds {held.size} bytes of an image of {size}")
        positions = range(-(-size // slot_size))
        for is_data, group in itertools.groupby(positions, held.slots.__contains__):
            found = list(group)
            offset = found[0] * slot_size
            yield Extent(offset, min((found[-1] + 1) * slot_size, size) - offset, is_data)

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Write slot after slot. A failure frees them; after a crash, `discard` does."""
        self._key(self.locate(key))
        self._require_fit(size or 0)
        with self._place() as place:
            blob = place.begin(key)
            try:
                written = self._copy(place, blob, source)
                place.publish(blob, written)
            except BaseException:  # an interrupted upload leaves nothing, either
                with contextlib.suppress(StoreError):
                    place.bury("state = 'writing' AND id = ?", blob)
                raise
        return Stored(self.locate(key), written)

    def delete(self, location: str) -> None:
        key = self._key(location)
        with self._place() as place:
            if not place.bury("state = 'live' AND key = ?", key):
                raise BlobNotFound(self.name, "there is no such blob")

    def discard(self, key: str) -> None:
        self._key(self.locate(key))
        with self._place() as place:
            place.bury("state != 'dead' AND key = ?", key)

    def locate(self, key: str) -> str:
        return SCHEME + key

    def blobs(self) -> Iterator[Blob]:
        with self._place() as place:
            return iter(place.entries("live", SCHEME))

    def attempts(self) -> Iterator[Blob]:
        with self._place() as place:
            return iter(place.entries("writing"))

    def info(self) -> StoreInfo:
        with self._place() as place:
            return StoreInfo(self._largest, place.free() * self.options.slot_size, self._largest)

    def create(self) -> None:
        create(self.name, self.options.path, self.options.slot_size, self.options.slots)
        self.info()

    def check(self) -> None:
        if not self.info().free:
            raise StoreFull(self.name, "all its slots are in use")

    @property
    def _largest(self) -> int:
        return self.options.slots * self.options.slot_size

    def _place(self) -> Place:
        return Place(self.name, self.options.path, self.options.slot_size, self.options.slots)

    def _find(self, location: str) -> Held:
        key = self._key(location)
        with self._place() as place:
            return place.find(key)

    def _key(self, location: str) -> str:
        return key_of(self.name, location, SCHEME)

    def _require_fit(self, size: int) -> None:
        if size > self._largest:
            raise TooLarge(self.name, f"the image is larger than the {self._largest} bytes of all slots")

    def _copy(self, place: Place, blob: int, source: Reader) -> int:
        """Write all bytes of the source, and return their number. Exceptions of the source pass through."""
        written = 0
        for position in itertools.count():
            data = self._next_slot(source)
            written += len(data)
            self._require_fit(written)
            if data.count(0) < len(data):
                place.write(blob, position, data)
            if len(data) < self.options.slot_size:
                break
        return written

    def _next_slot(self, source: Reader) -> bytearray:
        data = bytearray()
        while (left := self.options.slot_size - len(data)) and (block := source.read(left)):
            data += block
        return data


class SlotReader:
    """A reader of a blob's slots. Until it is closed, they are not reused."""

    def __init__(self, store: BlockStore, file: io.FileIO, held: Held, offset: int):
        self._store = store.name
        self._slot_size = store.options.slot_size
        self._file = file
        self._held = held
        self._position = offset

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most to the end of a slot; b"" only at the end."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(self._slot_size), b""))
        position, within = divmod(self._position, self._slot_size)
        count = min(size, self._slot_size - within, self._held.size - self._position)
        if count <= 0 or self._file.closed:
            return b""
        slot = self._held.slots.get(position)
        data = bytes(count) if slot is None else self._at(slot * self._slot_size + within, count)
        self._position += len(data)
        return data

    def _at(self, offset: int, count: int) -> bytes:
        with translated(self._store):
            data = os.pread(self._file.fileno(), count, offset)
        if not data:
            raise BlobChanged(self._store, "its file of slots has become shorter")
        return data

    def close(self) -> None:
        """Give the slots back, if the blob was deleted meanwhile. May be called twice."""
        self._file.close()
