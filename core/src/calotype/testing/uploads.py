"""Cases for `add`: it stores all bytes or none, writes a key once, and never holds a whole blob in memory."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest

from calotype.stores import (
    LOCATION_MAX,
    BadLocation,
    BlobNotFound,
    Duplicate,
    Listing,
    SourceBroken,
    SourceMismatch,
    SourceTooLarge,
    Stored,
    WritableStore,
)
from calotype.stores.measured import BLOCK, Expectations
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Endless, Exploding, Flow, Paused, Short, Trickle, assert_same, pattern

#: Keys that the core never passes to a driver.
HOSTILE_KEYS = {
    "empty": "",
    "dot-dot": "../x",
    "absolute": "/etc/passwd",
    "nul": "a\0b",
    "newline": "a\n",
    "upper-case": "A",
    "dots": "..",
    "hidden": ".x",
    "over-long": "a" * 5000,
    "backslash": "a\\b",
    "not-ascii": "\N{FULLWIDTH DIGIT ONE}",
    "percent": "a%2fb",
}
#: Keys that the core may pass to a driver; "{0}" stands for eight random characters.
KEY_FORMS = {
    "short": "{0}",
    "mixed": "{0}-a.b-1",
    "many-parts": "{0}" + ".x" * 15,
    "longest": "{0:x<60}" + f".{'y' * 60}" * 2 + f".{'z' * 17}",
}


class Interrupted(BaseException):
    """An exception that is not a subclass of Exception, like KeyboardInterrupt."""


class Uploads(Harness):
    """Cases for `add`. They use the checked store if the core does part of the work."""

    @needs(WritableStore)
    def test_what_goes_in_comes_out(self, size: int) -> None:
        data = pattern(size)
        received = self.add(self.key(), Trickle(data), Expectations(length=size))

        assert_same(self.read(received.location, size), data)

    @needs(WritableStore)
    def test_a_source_of_unknown_size_is_stored_whole(self, size: int) -> None:
        data = pattern(size, seed=1)
        received = self.add(self.key(), Trickle(data))

        assert_same(self.read(received.location, size), data)

    @needs(WritableStore)
    def test_the_receipt_is_true(self, size: int) -> None:
        data, key = pattern(size, seed=2), self.key()
        stored = self.writable.add(key, Trickle(data), size)
        self._locations.append(stored.location)

        assert type(stored) is Stored
        assert stored.size == size
        assert 0 < len(stored.location) <= LOCATION_MAX
        assert stored.location.isascii()
        assert stored.location.isprintable()
        assert self.driver.size(stored.location) in (size, None)
        assert stored.md5 in (None, hashlib.md5(data, usedforsecurity=False).hexdigest())

    @needs(WritableStore)
    def test_the_digests_are_those_of_the_bytes(self) -> None:
        data = pattern(3 * BLOCK)
        received = self.add(self.key(), Trickle(data))

        assert received.digests["sha256"] == hashlib.sha256(data).hexdigest()

    @needs(WritableStore)
    def test_locate_tells_where_add_will_put_it(self) -> None:
        key = self.key()
        before = self.writable.locate(key)
        received = self.add(key, Trickle(pattern(10)))

        assert before == received.location
        twin = self.twin()
        assert isinstance(twin, WritableStore)
        assert twin.locate(key) == received.location

    @needs(WritableStore)
    def test_the_location_has_the_form_of_earlier_versions(self) -> None:
        if self.location_form is None:
            pytest.skip(f"{type(self).__name__} names no location_form")
        key = self.key()

        assert self.writable.locate(key) == self.location_form.format(key=key)

    @needs(WritableStore)
    def test_two_keys_have_two_locations(self) -> None:
        assert self.put(pattern(10)) != self.put(pattern(10))

    @needs(WritableStore)
    @pytest.mark.parametrize("form", KEY_FORMS)
    def test_every_form_of_key_is_taken(self, form: str) -> None:
        key = KEY_FORMS[form].format(self.key()[:8])
        self._keys.append(key)
        data = pattern(1000)

        assert_same(self.read(self.add(key, Trickle(data)).location, 1000), data)

    @needs(WritableStore)
    def test_the_location_holds_no_secret(self) -> None:
        location = self.put(pattern(10))

        assert [secret for secret in self.driver.options.secrets() if secret in location] == []

    # Sources that fail.

    @needs(WritableStore)
    def test_a_source_that_breaks_leaves_nothing(self, size: int) -> None:
        key, error = self.key(), SourceBroken("the client went away")
        with pytest.raises(SourceBroken) as caught:
            self.writable.add(key, Exploding(pattern(size), error), size + 1)

        assert caught.value is error
        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_a_source_of_unknown_size_that_breaks_leaves_nothing(self, size: int) -> None:
        key, error = self.key(), SourceBroken("the client went away")
        with pytest.raises(SourceBroken) as caught:
            self.writable.add(key, Exploding(pattern(size), error))

        assert caught.value is error
        self.assert_nothing_under(key)

    @needs(WritableStore)
    @pytest.mark.parametrize(
        "error", [OSError(28, "not ours"), ConnectionResetError("not ours"), ValueError()]
    )
    def test_a_source_that_fails_is_not_taken_for_the_store(self, error: Exception) -> None:
        key = self.key()
        with pytest.raises(type(error)) as caught:
            self.checked.add(key, Exploding(pattern(70_000), error))

        assert caught.value is error
        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_an_interrupted_upload_leaves_nothing(self) -> None:
        key = self.key()
        with pytest.raises(Interrupted):
            self.writable.add(key, Exploding(pattern(self.span()), Interrupted()))

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_a_source_shorter_than_announced_leaves_nothing(self) -> None:
        key, data = self.key(), pattern(self.span())
        with pytest.raises(SourceBroken):
            self.checked.add(key, Short(data), Expectations(length=len(data)))

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_a_source_longer_than_announced_leaves_nothing(self) -> None:
        key, data = self.key(), pattern(self.span())
        with pytest.raises(SourceBroken):
            self.checked.add(key, Trickle(data), Expectations(length=len(data) - 1))

        self.assert_nothing_under(key)

    @needs(WritableStore)
    @pytest.mark.parametrize("wrong", [-1, 1])
    def test_a_source_of_another_size_than_declared_leaves_nothing(self, wrong: int) -> None:
        key, data = self.key(), pattern(self.span())
        with pytest.raises(SourceMismatch):
            self.checked.add(key, Trickle(data), Expectations(size=len(data) + wrong))

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_an_endless_source_is_cut_off(self) -> None:
        key, source = self.key(), Endless()
        with pytest.raises(SourceTooLarge):
            self.checked.add(key, source, Expectations(limit=self.span()))

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_bytes_with_another_checksum_than_declared_are_withdrawn(self) -> None:
        key = self.key()
        with pytest.raises(SourceMismatch):
            self.checked.add(key, Trickle(pattern(1000)), Expectations(digests={"sha256": "0" * 64}))

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_an_upload_is_not_seen_before_it_is_whole(self) -> None:
        key, seen = self.key(), []

        def look() -> None:
            location = self.writable.locate(key)
            if location is not None:
                try:
                    self.driver.get(location).close()
                    seen.append("get opened it")
                except BlobNotFound:
                    pass
            if self.checked.can(Listing):
                seen.extend(sorted(set(self.listed()) & {location}))

        data = pattern(self.span())
        received = self.add(key, Paused(data, len(data) - 500, look))

        assert seen == []
        assert_same(self.read(received.location, len(data)), data)

    # Keys.

    @needs(WritableStore)
    @pytest.mark.parametrize("hostile", HOSTILE_KEYS)
    def test_a_hostile_key_is_refused(self, hostile: str) -> None:
        source = Trickle(pattern(10))
        with pytest.raises(BadLocation):
            self.checked.add(HOSTILE_KEYS[hostile], source)

        assert source.given == 0

    @needs(WritableStore)
    def test_a_taken_key_is_refused(self) -> None:
        key, data = self.key(), pattern(self.span())
        first = self.add(key, Trickle(data))
        with pytest.raises(Duplicate) as caught:
            self.writable.add(key, Trickle(pattern(5000, seed=1)))

        assert caught.value.store == self.driver.name
        assert self.left_behind() == []
        assert_same(self.read(first.location, len(data)), data)

    @needs(WritableStore)
    def test_a_broken_upload_to_a_taken_key_harms_nothing(self) -> None:
        key, data = self.key(), pattern(5000)
        first = self.add(key, Trickle(data))
        with pytest.raises((Duplicate, SourceBroken)):
            self.writable.add(key, Exploding(pattern(100, seed=1), SourceBroken("gone")))

        assert self.left_behind() == []
        assert_same(self.read(first.location, len(data)), data)

    @needs(WritableStore)
    def test_a_large_blob_is_never_whole_in_memory(self) -> None:
        source, digest = Flow(self.large_size), hashlib.sha256()
        tracemalloc.start()
        try:
            received = self.add(self.key(), source)
            reader = self.checked.get(received.location, size=received.size)
            try:
                while block := reader.read(BLOCK):
                    digest.update(block)
            finally:
                reader.close()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert digest.hexdigest() == source.sha256() == received.digests["sha256"]
        assert peak <= self.memory_max
