"""Cases for readers and ranges: blobs that change while they are read, and the ends of blobs."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable

import pytest

from calotype.stores import (
    BlobChanged,
    BlobNotFound,
    External,
    Listing,
    LocalFiles,
    Reader,
    Store,
    StoreError,
    WritableStore,
)
from calotype.stores.measured import BLOCK
from calotype.testing.growth import Growth
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Trickle, assert_same, pattern, read_all
from calotype.testing.traffic import counted

#: The number of bytes at the end of a large blob that a range covers.
TAIL = 1000


class Reading(Harness):
    """`get` and `size`, while other instances change what they return."""

    # Changes by other instances: the service has several processes.

    @needs(WritableStore)
    @pytest.mark.parametrize("verb", ["get", "size", "delete"])
    def test_a_blob_that_another_instance_deletes_is_gone(self, verb: str) -> None:
        data, twin = pattern(self.span()), self.twin()
        location = self.put(data)
        self.driver.size(location)
        self.read(location, len(data))
        if self.checked.can(Listing):
            assert location in self.listed()
        assert isinstance(twin, WritableStore)
        twin.delete(location)
        twin.close()

        with pytest.raises(BlobNotFound):
            getattr(self.driver, verb)(location)
        if self.checked.can(Listing):
            assert location not in self.listed()

    @needs(WritableStore)
    def test_a_blob_that_another_instance_adds_is_found(self) -> None:
        data, key, twin = pattern(1000), self.key(), self.twin()
        location = self.writable.locate(key)
        for verb in (self.driver.get, self.driver.size):
            with pytest.raises(BlobNotFound):
                verb(location)
        if self.checked.can(Listing):
            assert location not in self.listed()
        assert isinstance(twin, WritableStore)
        twin.add(key, Trickle(data), len(data))
        twin.close()

        assert_same(self.read(location, len(data)), data)
        assert self.driver.size(location) in (len(data), None)
        if self.checked.can(Listing):
            assert location in self.listed()

    @needs(External)
    @pytest.mark.parametrize("verb", ["get", "size"])
    def test_a_source_that_goes_after_it_was_read_is_gone(self, verb: str) -> None:
        uri = self.plant(self.driver, pattern(1000))
        location = self.checked.register(uri).location
        self.driver.size(location)
        self.read(location, 1000)
        self.uproot(self.driver, uri)

        with pytest.raises(BlobNotFound):
            getattr(self.driver, verb)(location)

    @needs(WritableStore)
    def test_a_blob_deleted_while_it_is_read_never_ends_early(self) -> None:
        blob, digest, count = self.put_large(), hashlib.sha256(), 0
        with contextlib.closing(self.driver.get(blob.location)) as reader:
            block = reader.read(BLOCK)
            self.writable.delete(blob.location)
            try:
                while block:
                    digest.update(block)
                    count += len(block)
                    block = reader.read(BLOCK)
            except (BlobNotFound, BlobChanged):
                return

        assert count == blob.size, f"the reader ended after {count} bytes of {blob.size}"
        assert digest.hexdigest() == blob.sha256

    # The size.

    def test_the_size_is_a_number(self) -> None:
        size = self.driver.size(self.put(pattern(10)))

        assert size is None or type(size) is int

    def test_the_size_of_a_large_blob_is_true(self) -> None:
        blob = self.put_large()

        assert self.driver.size(blob.location) in (blob.size, None)

    # Readers.

    @pytest.mark.parametrize("count", [0, 1, 2000])
    def test_a_reader_in_any_state_is_closed_twice(self, count: int) -> None:
        reader = self.driver.get(self.put(pattern(1000)))
        while count > 0 and (block := reader.read(count)):
            count -= len(block)
        reader.close()
        reader.close()

    def test_a_closed_reader_gives_no_more_bytes(self) -> None:
        reader = self.driver.get(self.put(pattern(self.span())))
        reader.read(10)
        reader.close()
        given = b""
        with contextlib.suppress(Exception):  # most readers raise a ValueError, as files do
            given = reader.read(10)

        assert given == b""

    # Ranges.

    @needs(ranges=True)
    @pytest.mark.parametrize("length", [None, 1, 2 * BLOCK])
    @pytest.mark.parametrize("past", [0, 1, BLOCK])
    @pytest.mark.parametrize("held", [0, 1000])
    def test_a_reader_from_the_end_is_empty(self, held: int, past: int, length: int | None) -> None:
        location = self.put(pattern(held))

        assert read_all(self.driver.get(location, held + past, length), limit=0) == b""

    @needs(ranges=True)
    @pytest.mark.parametrize("offset", [0, 500, 1000])
    def test_a_range_of_no_bytes_is_opened(self, offset: int) -> None:
        reader = self.driver.get(self.put(pattern(1000)), offset, 0)
        reader.close()

    @needs(ranges=True)
    def test_a_range_does_not_read_from_the_start(self) -> None:
        blob = self.put_large()
        growth, before = Growth(), self.received(self.driver)
        with counted() as traffic:
            with contextlib.closing(self.driver.get(blob.location, blob.size - TAIL, TAIL)) as reader:
                tail = _all_of(reader)
            read = traffic.count
        peak, after = growth.peak(), self.received(self.driver)
        if before is not None and after is not None:
            read = after - before

        assert_same(tail, _tail_of(self.driver, blob.location, TAIL))
        assert read < max(blob.size // 4, self.part_size or 0), f"{read} bytes were read for {TAIL}"
        assert peak < self.memory_max, "the range took more than memory_max (pages of mapped files count)"

    # Errors.

    def test_every_error_names_the_store_of_its_instance(self) -> None:
        missing, errors = self.missing(), []
        for store in (self.driver, self.twin("elsewhere")):
            errors += [(store.name, error.store) for error in _errors_of(store, missing)]

        assert {name for name, _ in errors} == {self.driver.name, "elsewhere"}
        assert [(name, named) for name, named in errors if name != named] == []


def _all_of(reader: Reader) -> bytes:
    return b"".join(iter(lambda: reader.read(TAIL), b""))


def _tail_of(store: Store, location: str, count: int) -> bytes:
    """Return the last bytes of a blob, read from its start."""
    tail = b""
    with contextlib.closing(store.get(location)) as reader:
        while block := reader.read(BLOCK):
            tail = (tail + block)[-count:]
    return tail


def _errors_of(store: Store, missing: str) -> list[StoreError]:
    """Return the errors of calls with the location of a missing blob, and with text that is no location."""
    errors = []
    for location in (missing, "nonsense", ""):
        calls: list[Callable[[str], object]] = [store.get, store.size]
        if isinstance(store, WritableStore):
            calls.append(store.delete)
        if isinstance(store, LocalFiles) and location != missing:
            calls.append(store.file_path)
        for call in calls:
            try:
                call(location)
            except StoreError as error:
                errors.append(error)
    return errors
