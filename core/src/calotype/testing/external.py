"""Cases for `register`: external bytes, which can be read only as long as they do not change."""

from __future__ import annotations

import contextlib

import pytest

from calotype.stores import BadLocation, BlobChanged, BlobNotFound, External, StoreError
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import assert_same, pattern, read_all

HOSTILE_URIS = {
    "empty": "",
    "no-scheme": "thing",
    "path": "/etc/passwd",
    "file": "file:///etc/passwd",
    "dot-dot": "../../etc/passwd",
    "other-scheme": "gopher://example.com/x",
    "over-long": "{0}" + "a" * 5000,
    "newline": "{0}\n",
    "carriage-return": "{0}\r\nHost: x",
    "nul": "{0}\0",
    "blank-before": " {0}",
}


class Externals(Harness):
    """`register`, and reading registered bytes."""

    @needs(External)
    def test_a_registered_blob_is_read_whole(self, size: int) -> None:
        data = pattern(size, seed=4)
        stored = self.checked.register(self.put_outside(data))

        assert stored.size in (size, None)
        assert_same(self.read(stored.location, size), data)

    @needs(External)
    def test_a_range_of_a_registered_blob_holds_the_right_bytes(self) -> None:
        data = pattern(self.span(), seed=4)
        stored = self.checked.register(self.put_outside(data))
        reader = self.checked.get(stored.location, 1000, 500, size=len(data))

        assert_same(read_all(reader, limit=500), data[1000:1500])

    @needs(External)
    def test_a_second_instance_reads_what_was_registered(self) -> None:
        data = pattern(5000)
        stored, twin = self.checked.register(self.put_outside(data)), self.twin()

        assert_same(self.read(stored.location, 5000, twin), data)

    @needs(External)
    def test_what_is_not_there_is_not_registered(self) -> None:
        uri = self.plant(self.driver, pattern(10))
        self.uproot(self.driver, uri)
        with pytest.raises(BlobNotFound) as caught:
            self.external.register(uri)

        assert caught.value.store == self.driver.name

    @needs(External)
    @pytest.mark.parametrize("verb", ["get", "size"])
    def test_a_source_that_has_gone_is_reported_at_once(self, verb: str) -> None:
        uri = self.plant(self.driver, pattern(10))
        location = self.checked.register(uri).location
        self.uproot(self.driver, uri)
        with pytest.raises(BlobNotFound):
            getattr(self.driver, verb)(location)

    @needs(External)
    def test_a_changed_source_is_never_read_as_the_old_one(self) -> None:
        uri = self.put_outside(pattern(5000))
        location = self.checked.register(uri).location
        self.replant(self.driver, uri, pattern(6000, seed=1))
        with pytest.raises(BlobChanged):
            read_all(self.driver.get(location), limit=6000)

    @needs(External)
    @pytest.mark.parametrize("hostile", HOSTILE_URIS)
    def test_a_hostile_uri_is_refused(self, hostile: str) -> None:
        uri = HOSTILE_URIS[hostile].format(self.put_outside(pattern(10)))
        with pytest.raises(BadLocation) as caught:
            self.checked.register(uri)

        assert caught.value.store == self.driver.name

    @needs(External)
    def test_a_uri_that_is_registered_passes_the_check_before_it(self) -> None:
        uri = self.put_outside(pattern(10))
        self.checked.check_uri(uri)

        assert self.checked.register(uri).location

    @needs(External)
    def test_what_is_opened_to_be_copied_is_read_whole(self, size: int) -> None:
        data = pattern(size, seed=4)
        opened = self.checked.open_uri(self.put_outside(data))

        assert opened.size in (size, None)
        with contextlib.closing(opened.reader):
            assert_same(read_all(opened.reader, limit=size), data)

    @needs(External)
    def test_what_is_not_there_is_not_opened_to_be_copied(self) -> None:
        uri = self.plant(self.driver, pattern(10))
        self.uproot(self.driver, uri)
        with pytest.raises(BlobNotFound) as caught:
            self.external.open_uri(uri)

        assert caught.value.store == self.driver.name

    @needs(External)
    @pytest.mark.parametrize("hostile", [name for name in HOSTILE_URIS if name != "over-long"])
    def test_a_hostile_uri_is_not_opened_to_be_copied(self, hostile: str) -> None:
        uri = HOSTILE_URIS[hostile].format(self.put_outside(pattern(10)))
        with pytest.raises(BadLocation):
            self.checked.open_uri(uri)

    @needs(External)
    def test_the_source_is_not_ours_to_delete(self) -> None:
        uri = self.put_outside(pattern(10))
        location = self.checked.register(uri).location
        with pytest.raises(StoreError):
            self.checked.delete(location)

        assert_same(self.read(location, 10), pattern(10))

    @needs(External)
    def test_the_schemes_are_named_in_lower_case(self) -> None:
        assert self.external.schemes
        assert [scheme for scheme in self.external.schemes if scheme != scheme.lower() or ":" in scheme] == []
