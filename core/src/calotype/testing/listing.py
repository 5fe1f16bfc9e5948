"""Cases for listings: every blob once, with its true size and date, and nothing else."""

from __future__ import annotations

import contextlib
import datetime
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import Listing, LocalFiles, StoreError, WritableStore
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Paused, Trickle, pattern

#: Threads that add and remove the blobs of a long listing.
THREADS = 8
#: How far the clocks of this machine and of the store may differ.
CLOCKS = datetime.timedelta(minutes=10)


class Listings(Harness):
    """`blobs`, as `fsck` uses it: a blob that is not listed counts as lost."""

    @needs(WritableStore, Listing)
    def test_a_long_listing_holds_every_blob_once(self) -> None:
        sizes = {f"{uuid.uuid4()}.1": number % 7 for number in range(self._long())}
        with self._added(sizes) as added:
            listed = list(self.checked.blobs())

        times = Counter(blob.location for blob in listed)
        assert [location for location in added if times[location] != 1] == []
        held = {blob.location: blob.size for blob in listed}
        assert {location: held[location] for location in added} == added

    @needs(WritableStore, Listing)
    def test_the_listing_holds_a_large_blob(self) -> None:
        blob = self.put_large()

        assert self.listed().get(blob.location) == blob.size

    @needs(WritableStore, Listing)
    def test_the_listing_holds_no_unfinished_upload(self) -> None:
        key, data, before = self.key(), pattern(2 * self.span()), set(self.listed())
        seen: list[str] = []

        def look() -> None:
            seen.extend(
                location
                for location in self.listed()
                if key in location or (self.alone and location not in before)
            )

        location = self.writable.add(key, Paused(data, len(data) - 500, look)).location

        assert seen == []
        assert self.listed().get(location) == len(data)

    @needs(WritableStore, Listing)
    def test_the_date_of_a_blob_does_not_move(self) -> None:
        location = self.put(pattern(10))
        first = self._date(location)
        time.sleep(1.1)

        assert self._date(location) == first

    @needs(WritableStore, Listing)
    def test_the_date_of_a_blob_is_true_in_every_time_zone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        location = self.put(pattern(10))
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "KIT-05:00")
            time.tzset()
            modified = self._date(location)
        time.tzset()

        assert abs(datetime.datetime.now(datetime.UTC) - modified) < CLOCKS

    def _date(self, location: str) -> datetime.datetime:
        return next(blob.modified for blob in self.listing.blobs() if blob.location == location)

    def _long(self) -> int:
        if self.listing_size is not None:
            return self.listing_size
        return 1001 if isinstance(self.driver, LocalFiles) else 101

    @contextlib.contextmanager
    def _added(self, sizes: dict[str, int]) -> Iterator[dict[str, int]]:
        """Add blobs of these sizes, by key, and remove them at the end; yields location -> size."""

        def add(key: str) -> str:
            return self.writable.add(key, Trickle(pattern(sizes[key])), sizes[key]).location

        def remove(key: str) -> None:
            with contextlib.suppress(StoreError):
                self.writable.discard(key)

        with ThreadPoolExecutor(THREADS) as threads:
            try:
                yield dict(zip(threads.map(add, sizes), sizes.values(), strict=True))
            finally:
                list(threads.map(remove, sizes))
