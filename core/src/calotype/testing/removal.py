"""Cases for `delete`, `discard` and listings: a removed blob is gone, and all other blobs remain."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from calotype.stores import BadLocation, BlobNotFound, Listing, WritableStore
from calotype.testing.downloads import HOSTILE_LOCATIONS
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Trickle, assert_same, pattern


class Removal(Harness):
    """`delete`, `discard`, `blobs` and `attempts`."""

    @needs(WritableStore)
    def test_a_deleted_blob_is_gone(self, size: int) -> None:
        location = self.put(pattern(size))
        self.writable.delete(location)

        for verb in (self.driver.get, self.driver.size):
            with pytest.raises(BlobNotFound):
                verb(location)
        assert self.left_behind() == []

    @needs(WritableStore)
    def test_a_second_delete_finds_nothing(self) -> None:
        location = self.put(pattern(10))
        self.writable.delete(location)
        with pytest.raises(BlobNotFound) as caught:
            self.writable.delete(location)

        assert caught.value.store == self.driver.name

    @needs(WritableStore)
    @pytest.mark.parametrize("hostile", HOSTILE_LOCATIONS)
    def test_a_hostile_location_is_not_deleted(self, hostile: str) -> None:
        location = self.put(pattern(10))
        with pytest.raises((BadLocation, BlobNotFound)):
            self.writable.delete(HOSTILE_LOCATIONS[hostile].format(location))

        assert_same(self.read(location, 10), pattern(10))

    @needs(WritableStore)
    def test_a_delete_spares_the_neighbours(self) -> None:
        self._remove_one_among_neighbours(lambda key, location: self.writable.delete(location))

    @needs(WritableStore)
    def test_a_discard_spares_the_neighbours(self) -> None:
        self._remove_one_among_neighbours(lambda key, location: self.writable.discard(key))

    def _remove_one_among_neighbours(self, remove: Callable[[str, str], None]) -> None:
        base, data = self.key().replace(".1", ""), pattern(self.span())
        keys = [base, f"{base}1", f"{base}.1", f"{base}-1", f"{base[:-1]}z"]
        self._keys.extend(keys)
        locations = [self.add(key, Trickle(data)).location for key in keys]
        remove(keys[0], locations[0])

        with pytest.raises(BlobNotFound):
            self.driver.get(locations[0])
        assert [self.read(location, len(data)) == data for location in locations[1:]] == [True] * 4

    @needs(WritableStore)
    def test_discard_of_an_unknown_key_is_no_error(self) -> None:
        self.writable.discard(self.key())

    @needs(WritableStore)
    def test_discard_removes_what_an_unreported_upload_left(self, size: int) -> None:
        key = self.key()
        location = self.add(key, Trickle(pattern(size))).location
        self.writable.discard(key)
        self.writable.discard(key)

        with pytest.raises(BlobNotFound):
            self.driver.get(location)

    # Listings.

    @needs(WritableStore, Listing)
    def test_the_listing_holds_what_was_added(self) -> None:
        before = self.listed()
        added = {self.put(pattern(size)): size for size in self.sizes()}
        after = self.listed()

        assert {location: after.get(location) for location in added} == added
        if self.alone:
            assert after == before | added

    @needs(WritableStore, Listing)
    def test_the_listing_dates_are_aware_and_true(self) -> None:
        location = self.put(pattern(10))
        modified = next(blob.modified for blob in self.listing.blobs() if blob.location == location)

        assert modified.utcoffset() == datetime.timedelta(0)
        assert abs(datetime.datetime.now(datetime.UTC) - modified) < datetime.timedelta(hours=1)

    @needs(WritableStore, Listing)
    def test_a_finished_upload_is_no_attempt(self) -> None:
        key = self.key()
        self.add(key, Trickle(pattern(self.span())))

        assert [attempt for attempt in self.listing.attempts() if attempt.location == key] == []

    @needs(WritableStore, Listing)
    def test_a_deleted_blob_is_not_listed(self) -> None:
        location = self.put(pattern(self.span()))
        self.writable.delete(location)

        assert location not in self.listed()
