"""Cases for `get` and `size`: the right bytes, or an error before the first byte."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import BadLocation, BlobChanged, BlobNotFound, LocalFiles, Reader, StoreError
from calotype.stores.measured import BLOCK
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import assert_same, pattern, read_all

#: Name -> (offset, length) in a blob of this size.
RANGES: dict[str, Callable[[int], tuple[int, int | None]]] = {
    "first-byte": lambda size: (0, 1),
    "second-byte": lambda size: (1, 1),
    "last-byte": lambda size: (size - 1, 1),
    "middle": lambda size: (size // 3, size // 3),
    "across-a-block": lambda size: (BLOCK - 5, 10),
    "all-but-the-first": lambda size: (1, size - 1),
    "all-but-the-last": lambda size: (0, size - 1),
    "to-the-end": lambda size: (size // 2, None),
    "whole": lambda size: (0, size),
}
#: Locations that a manipulated database could contain; "{0}" is a valid location.
HOSTILE_LOCATIONS = {
    "empty": "",
    "dot-dot": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "file-uri": "file:///etc/passwd",
    "file-path": "file:/etc/passwd",
    "dot-dot-inside": "file:aa/../../../etc/passwd",
    "other-scheme": "gopher:thing",
    "metadata-service": "http://169.254.169.254/latest/",
    "over-long": "a" * 5000,
    "nul": "{0}\0",
    "newline": "{0}\n",
    "dot-dot-after": "{0}/../x",
    "something-before": "x{0}",
    "not-ascii": "{0}\N{FULLWIDTH DIGIT ONE}",
}


class Downloads(Harness):
    """`get` and `size`, for every driver."""

    def test_a_blob_is_read_whole(self, size: int) -> None:
        data = pattern(size, seed=3)

        assert_same(self.read(self.put(data), size), data)

    def test_the_checked_store_reads_it_whole(self, size: int) -> None:
        data = pattern(size, seed=3)

        assert_same(read_all(self.checked.get(self.put(data), size=size), limit=size), data)

    def test_a_reader_gives_no_more_than_asked(self) -> None:
        data = pattern(100_003)

        assert_same(read_all(self.driver.get(self.put(data)), limit=len(data), block=7001), data)

    def test_a_reader_is_a_reader(self) -> None:
        reader = self.driver.get(self.put(pattern(10)))
        try:
            assert isinstance(reader, Reader)
            assert type(reader.read(1)) is bytes
        finally:
            reader.close()

    def test_a_reader_at_its_end_stays_there(self) -> None:
        reader = self.driver.get(self.put(pattern(10)))
        try:
            while reader.read(10):
                pass
            assert reader.read(10) == b""
        finally:
            reader.close()

    def test_size_is_the_number_of_bytes(self, size: int) -> None:
        assert self.driver.size(self.put(pattern(size))) in (size, None)

    def test_a_second_instance_reads_what_the_first_wrote(self) -> None:
        data = pattern(self.span())
        location, twin = self.put(data), self.twin()

        assert_same(self.read(location, len(data), twin), data)
        assert twin.size(location) in (len(data), None)

    def test_readers_are_independent(self) -> None:
        data, other = pattern(50_000, seed=1), pattern(50_000, seed=2)
        location = self.put(data)
        readers = [self.driver.get(location), self.driver.get(location), self.driver.get(self.put(other))]
        first = [_exactly(reader, 1000) for reader in readers]

        assert_same(b"".join(first), data[:1000] + data[:1000] + other[:1000])
        assert [read_all(reader, limit=50_000) for reader in readers] == [
            data[1000:],
            data[1000:],
            other[1000:],
        ]

    def test_abandoned_readers_block_nothing(self) -> None:
        data = pattern(self.span())
        location = self.put(data)
        for _ in range(30):
            reader = self.driver.get(location)
            begun = reader.read(10)
            reader.close()
            assert_same(begun, data[: len(begun)])

        assert_same(self.read(location, len(data)), data)

    def test_a_reader_is_closed_twice(self) -> None:
        reader = self.driver.get(self.put(pattern(10)))
        reader.close()
        reader.close()

    def test_many_threads_read_one_blob(self) -> None:
        data = pattern(self.span())
        location = self.put(data)
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(lambda _: self.read(location, len(data)) == data, range(16)))

    # Ranges, by the driver if it can, otherwise by the core.

    @pytest.mark.parametrize("span", RANGES)
    def test_a_range_holds_the_right_bytes(self, span: str) -> None:
        data = pattern(self.span())
        offset, length = RANGES[span](len(data))
        end = len(data) if length is None else offset + length
        reader = self.checked.get(self.put(data), offset, length, size=len(data))

        assert_same(read_all(reader, limit=end - offset), data[offset:end])

    @needs(ranges=True)
    @pytest.mark.parametrize("span", RANGES)
    def test_a_driver_with_ranges_begins_at_the_offset(self, span: str) -> None:
        data = pattern(self.span())
        offset, length = RANGES[span](len(data))
        end = len(data) if length is None else offset + length
        given = read_all(self.driver.get(self.put(data), offset, length), limit=len(data) - offset)

        assert_same(given[: end - offset], data[offset:end])

    @pytest.mark.parametrize("past", [0, 1, BLOCK])
    def test_a_range_past_the_end_gives_no_bytes(self, past: int) -> None:
        data = pattern(1000)
        location = self.put(data)
        with contextlib.suppress(StoreError):  # an error is allowed, too
            assert read_all(self.checked.get(location, len(data) + past), limit=0) == b""

    def test_a_range_that_goes_past_the_end_is_an_error(self) -> None:
        location = self.put(pattern(1000))
        with pytest.raises(StoreError):
            read_all(self.checked.get(location, 900, 200), limit=200)

    def test_a_blob_shorter_than_the_registry_says_is_an_error(self) -> None:
        location = self.put(pattern(1000))
        with pytest.raises(BlobChanged):
            read_all(self.checked.get(location, size=1001), limit=1001)

    @needs(LocalFiles)
    def test_the_path_for_a_proxy_is_relative_and_stays_below(self) -> None:
        assert isinstance(self.driver, LocalFiles)
        path = self.driver.file_path(self.put(pattern(10)))

        assert not path.startswith("/")
        assert ".." not in path.split("/")

    # Missing blobs.

    @pytest.mark.parametrize("verb", ["get", "size"])
    def test_a_missing_blob_is_reported_at_once(self, verb: str) -> None:
        location = self.missing()
        with pytest.raises(BlobNotFound) as caught:
            getattr(self.driver, verb)(location)

        assert caught.value.store == self.driver.name

    @needs(ranges=True)
    def test_a_range_of_a_missing_blob_is_reported_at_once(self) -> None:
        location = self.missing()
        with pytest.raises(BlobNotFound):
            self.driver.get(location, 5, 5)

    @pytest.mark.parametrize("hostile", HOSTILE_LOCATIONS)
    @pytest.mark.parametrize("verb", ["get", "size"])
    def test_a_hostile_location_is_refused(self, verb: str, hostile: str) -> None:
        location = HOSTILE_LOCATIONS[hostile].format(self.put(pattern(10)))
        with pytest.raises((BadLocation, BlobNotFound)) as caught:
            getattr(self.driver, verb)(location)

        assert caught.value.store == self.driver.name


def _exactly(reader: Reader, count: int) -> bytes:
    given = b""
    while len(given) < count and (block := reader.read(count - len(given))):
        given += block
    return given
