"""Cases for what a driver reports about its blobs and its room: extents, info, paths and direct URLs."""

from __future__ import annotations

import contextlib
import time
import urllib.error
import urllib.request

import pytest

from calotype.stores import BadLocation, BlobNotFound, DirectUrl, LocalFiles, Store
from calotype.testing.downloads import HOSTILE_LOCATIONS
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import assert_same, pattern

#: Seconds for which an expired URL may still work, because clocks differ.
SKEW = 10


class Declarations(Harness):
    """Each answer is compared with the bytes that it describes."""

    # Extents.

    def test_extents_cover_the_blob(self, size: int) -> None:
        found = list(self.checked.extents(self.put(pattern(size)), size))

        assert sum(extent.length for extent in found) == size

    def test_holes_are_zeros(self) -> None:
        data = pattern(70_001) + bytes(4 << 20) + pattern(70_001, seed=1) + bytes(1 << 20)
        location = self.put(data)
        holes = [one for one in self.checked.extents(location, len(data)) if not one.is_data]

        assert [hole for hole in holes if data[hole.offset :][: hole.length].strip(b"\0")] == []
        assert_same(self.read(location, len(data)), data)

    def test_data_is_not_called_a_hole(self) -> None:
        data = pattern(self.span())
        extents = list(self.checked.extents(self.put(data), len(data)))

        assert [extent for extent in extents if not extent.is_data] == []

    def test_extents_of_a_missing_blob_are_an_error(self) -> None:
        if type(self.driver).extents is Store.extents:
            pytest.skip(f"{type(self.driver).__name__} has no extents of its own")
        location = self.missing()
        with pytest.raises(BlobNotFound) as caught:
            list(self.driver.extents(location, 10))

        assert caught.value.store == self.driver.name

    # The room.

    def test_the_room_is_possible(self) -> None:
        self.put(pattern(1000))
        info = self.driver.info()
        fields = {"capacity": info.capacity, "free": info.free, "largest": info.largest}
        known = {name: size for name, size in fields.items() if size is not None}

        wrong = {name: size for name, size in known.items() if not isinstance(size, int) or size < 0}
        assert wrong == {}, "info gives a number that is no number of bytes"
        if info.capacity is not None:
            assert max(known.values()) == info.capacity, "info gives more than the capacity"

    # Paths.

    @needs(LocalFiles)
    def test_the_path_for_a_proxy_names_the_file(self) -> None:
        if type(self).directory is Harness.directory:
            pytest.skip("the hook `directory` is not implemented")
        assert isinstance(self.driver, LocalFiles)
        data = pattern(1000)
        directory = self.directory(self.driver).resolve()
        file = (directory / self.driver.file_path(self.put(data))).resolve()

        assert file.is_relative_to(directory)
        assert_same(file.read_bytes(), data)

    @needs(LocalFiles)
    @pytest.mark.parametrize("hostile", HOSTILE_LOCATIONS)
    def test_a_hostile_location_has_no_path(self, hostile: str) -> None:
        assert isinstance(self.driver, LocalFiles)
        location = HOSTILE_LOCATIONS[hostile].format(self.put(pattern(10)))
        with pytest.raises(BadLocation) as caught:
            self.driver.file_path(location)

        assert caught.value.store == self.driver.name

    # Direct URLs.

    @needs(DirectUrl)
    def test_a_direct_url_gives_the_bytes(self) -> None:
        data = pattern(5000)
        url = self._url(self.put(data), 60)

        with urllib.request.urlopen(url, timeout=30) as answer:
            assert_same(answer.read(len(data) + 1), data)
        assert [secret for secret in self.driver.options.secrets() if secret in url] == []

    @needs(DirectUrl)
    @pytest.mark.parametrize("hostile", HOSTILE_LOCATIONS)
    def test_a_hostile_location_has_no_direct_url(self, hostile: str) -> None:
        assert isinstance(self.driver, DirectUrl)
        location = HOSTILE_LOCATIONS[hostile].format(self.put(pattern(10)))
        url = None
        with contextlib.suppress(BadLocation, BlobNotFound):
            url = self.driver.direct_url(location, 60)

        assert url is None

    @needs(DirectUrl)
    def test_a_direct_url_expires(self) -> None:
        if not self.direct_urls_expire:
            pytest.skip("direct_urls_expire is False")
        url, end = self._url(self.put(pattern(1000)), 1), time.monotonic() + SKEW
        time.sleep(2)
        status = _status(url)
        while status < 400 and time.monotonic() < end:
            time.sleep(0.5)
            status = _status(url)

        assert 400 <= status < 500, f"a URL that was valid for 1 second is answered with {status}"

    def _url(self, location: str, expires: int) -> str:
        assert isinstance(self.driver, DirectUrl)
        url = self.driver.direct_url(location, expires)
        if not self.has_direct_urls:
            pytest.skip("has_direct_urls is False")
        assert url is not None, "a driver with DirectUrl returns a URL (set has_direct_urls if it cannot)"
        return url


def _status(url: str) -> int:
    try:
        with contextlib.closing(urllib.request.urlopen(url, timeout=30)) as answer:
            return int(answer.status or 200)  # only HTTP has a status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
