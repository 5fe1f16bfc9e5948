"""Cases for a place that cannot be reached: calls raise an error, and never report a blob as missing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import pytest

from calotype.stores import External, Listing, Store, StoreError, Unavailable, WritableStore
from calotype.stores.measured import BLOCK
from calotype.testing.calls import calls_of, chain, error_of
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Trickle, assert_same, pattern


class Away(Harness):
    """Cases that use the hook `take_away`. They are skipped if the driver's author has not implemented it."""

    @pytest.mark.parametrize("verb", ["get", "size"])
    def test_a_blob_is_not_missing_because_its_place_is_away(self, verb: str) -> None:
        self._need_hook()
        location = self.put(pattern(1000))
        with self._unavailable():
            getattr(self.driver, verb)(location)

        assert_same(self.read(location, 1000), pattern(1000))

    @needs(WritableStore)
    @pytest.mark.parametrize("verb", ["delete", "discard"])
    def test_nothing_is_deleted_while_its_place_is_away(self, verb: str) -> None:
        self._need_hook()
        key = self.key()
        location = self.add(key, Trickle(pattern(1000))).location
        with self._unavailable():
            getattr(self.driver, verb)(location if verb == "delete" else key)

        assert_same(self.read(location, 1000), pattern(1000))

    @needs(Listing)
    @pytest.mark.parametrize("verb", ["blobs", "attempts"])
    def test_a_listing_is_not_empty_because_its_place_is_away(self, verb: str) -> None:
        self._need_hook()
        with self._unavailable():
            list(getattr(self.driver, verb)())

    def test_check_fails_while_the_place_is_away(self) -> None:
        self._need_hook()
        with self._unavailable():
            self.driver.check()

        self.driver.check()

    @needs(WritableStore)
    def test_an_upload_fails_while_the_place_is_away(self) -> None:
        self._need_hook()
        key = self.key()
        with self._unavailable():
            self.writable.add(key, Trickle(pattern(1000)), 1000)

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_locate_works_while_the_place_is_away(self) -> None:
        self._need_hook()
        key, twin = self.key(), self.twin()
        assert isinstance(twin, WritableStore)
        with self._away():
            located = twin.locate(key)

        assert located == self.add(key, Trickle(pattern(10))).location

    def test_the_room_is_not_known_while_the_place_is_away(self) -> None:
        self._need_hook()
        self._need_own("info")
        with self._unavailable():
            self.driver.info()

    def test_extents_are_not_known_while_the_place_is_away(self) -> None:
        self._need_hook()
        self._need_own("extents")
        location = self.put(pattern(1000))
        with self._unavailable():
            list(self.driver.extents(location, 1000))

    @needs(External)
    @pytest.mark.parametrize("verb", ["register", "open_uri"])
    def test_a_source_is_not_missing_because_its_place_is_away(self, verb: str) -> None:
        self._need_hook()
        uri = self.put_outside(pattern(1000))
        with self._unavailable():
            getattr(self.external, verb)(uri)

    def test_an_error_names_no_path_and_no_option_while_the_place_is_away(self) -> None:
        self._need_hook()
        location, key = self.put(pattern(10)), self.key()
        for name, call in calls_of(self.driver, location, key).items():
            with self._away():
                error = error_of(call)
            if error is not None:
                assert isinstance(error, StoreError), f"{name} raises {error!r}"
                self.assert_discreet(error)
                told = chain(error)
                assert [secret for secret in self.driver.options.secrets() if secret in told] == []

    def test_a_blob_is_read_when_its_place_is_back(self) -> None:
        self._need_hook()
        data = pattern(self.span())
        location = self.put(data)
        self.read(location, len(data))
        with self._away(), contextlib.suppress(StoreError):
            self.read(location, len(data))

        assert_same(self.read(location, len(data)), data)
        assert self.driver.size(location) in (len(data), None)

    # The place goes away during a read or a listing. Whether the driver notices depends on its buffers.

    def test_a_read_error_is_not_taken_for_the_end(self) -> None:
        self._need_hook()
        blob, digest, count = self.put_large(), hashlib.sha256(), 0
        with contextlib.closing(self.driver.get(blob.location)) as reader:
            block = reader.read(BLOCK)
            with self._away():
                try:
                    while block:
                        digest.update(block)
                        count += len(block)
                        block = reader.read(BLOCK)
                except Exception:  # noqa: BLE001 - files raise OSErrors, and the core converts all others
                    return

        assert count == blob.size, f"the reader ended after {count} bytes of {blob.size}"
        assert digest.hexdigest() == blob.sha256

    @needs(WritableStore, Listing)
    def test_a_listing_that_breaks_off_is_not_taken_for_the_whole(self) -> None:
        self._need_hook()
        added = {self.put(pattern(10)) for _ in range(3)}
        listing = iter(self.listing.blobs())
        seen = {next(listing).location}
        with self._away():
            try:
                seen.update(blob.location for blob in listing)
            except StoreError:
                return

        assert seen >= added

    def _need_hook(self) -> None:
        if type(self).take_away is Harness.take_away:
            pytest.skip("the hook `take_away` is not implemented")

    def _need_own(self, method: str) -> None:
        if getattr(type(self.driver), method) is getattr(Store, method):
            pytest.skip(f"{type(self.driver).__name__} has no {method} of its own")

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        """Take the place away during the block, and bring it back even if the block fails.

        The hook does not see the block's exception, because a hook without `finally` would then not bring the
        place back.
        """
        taken = self.take_away(self.driver)
        taken.__enter__()
        try:
            yield
        finally:
            taken.__exit__(None, None, None)

    @contextlib.contextmanager
    def _unavailable(self) -> Iterator[None]:
        """Take the place away, and expect that the block raises Unavailable or its subclass Misconfigured."""
        with self._away(), pytest.raises(Unavailable) as caught:
            yield
        assert caught.value.store == self.driver.name
