"""Cases for the declarations of a driver: its abilities, options, secrets and threads."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading

import pytest

from calotype.stores import (
    API_VERSION,
    ConfigurationError,
    DirectUrl,
    External,
    Listing,
    StoreError,
    StoreOptions,
    Unsupported,
    WritableStore,
)
from calotype.stores.abilities import ABILITIES
from calotype.stores.checked import CheckedStore
from calotype.stores.options import read_options
from calotype.testing.calls import chain
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Trickle, assert_same, pattern, read_all


class Honesty(Harness):
    """A driver's abilities work, calls that need other abilities are refused, and secrets stay secret."""

    def test_an_upload_is_refused_where_it_is_not_declared(self) -> None:
        source = Trickle(pattern(10))
        with pytest.raises(Unsupported) as caught:
            self._without(WritableStore).add(self.key(), source)

        assert self.driver.name in str(caught.value)
        assert source.given == 0

    def test_a_delete_is_refused_where_it_is_not_declared(self) -> None:
        location = self.put(pattern(10))
        with pytest.raises(Unsupported):
            self._without(WritableStore).delete(location)

        assert_same(self.read(location, 10), pattern(10))

    def test_a_listing_is_refused_where_it_is_not_declared(self) -> None:
        with pytest.raises(Unsupported):
            list(self._without(Listing).blobs())

    def test_a_location_from_outside_is_refused_where_it_is_not_declared(self) -> None:
        with pytest.raises(Unsupported):
            self._without(External).register("http://example.com/x")

    def test_there_is_no_direct_url_where_it_is_not_declared(self) -> None:
        assert self._without(DirectUrl).direct_url(self.put(pattern(10)), 60) is None

    def test_a_range_is_right_where_it_is_not_declared(self) -> None:
        data = pattern(5000)
        location, twin = self.put(data), self.twin()
        twin.ranges = False
        reader = CheckedStore(twin).get(location, 1000, 500, size=5000)

        assert_same(read_all(reader, limit=500), data[1000:1500])

    def _without(self, ability: type) -> CheckedStore:
        narrowed = CheckedStore(self.driver)
        narrowed.withheld |= {ability}
        return narrowed

    @needs(WritableStore)
    def test_a_read_only_store_takes_nothing(self) -> None:
        with pytest.raises(Unsupported):
            CheckedStore(self.driver, read_only=True).add(self.key(), Trickle(b"x"))

    def test_it_has_the_abilities_that_its_author_names(self) -> None:
        if self.abilities is None:
            pytest.skip(f"{type(self).__name__} names no abilities")
        offered = {ability.__name__ for ability in (WritableStore, *ABILITIES) if self.checked.can(ability)}

        assert offered | ({"ranges"} if self.driver.ranges else set()) == self.abilities

    # Construction, creation of the place, and closing.

    def test_it_was_written_for_this_contract(self) -> None:
        major, minor = self.driver.api_version

        assert major == API_VERSION[0]
        assert minor <= API_VERSION[1]

    def test_a_new_driver_touches_no_network(self) -> None:
        def refuse(*args: object, **kwargs: object) -> None:
            raise AssertionError("the constructor uses the network")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", refuse)
            patch.setattr(socket, "getaddrinfo", refuse)
            before = threading.active_count()
            twin = self.twin()

            assert threading.active_count() == before
            twin.close()

    def test_check_returns_when_the_store_can_be_used(self) -> None:
        self.driver.check()

    @needs(WritableStore)
    def test_create_is_idempotent_and_keeps_what_is_there(self) -> None:
        location = self.put(pattern(10))
        self.driver.create()
        self.driver.create()

        assert_same(self.read(location, 10), pattern(10))

    def test_close_is_called_twice(self) -> None:
        twin = self.twin()
        with contextlib.suppress(StoreError):
            twin.get(self.put(pattern(10))).close()
        twin.close()
        twin.close()

    def test_close_ends_the_threads(self) -> None:
        location = self.put(pattern(self.span()))  # the core's own threads are running by then
        twin, before = self.twin(), set(threading.enumerate())
        twin.get(location).close()
        if isinstance(twin, WritableStore):
            self._locations.append(twin.add(self.key(), Trickle(pattern(self.span()))).location)
        twin.close()
        begun = set(threading.enumerate()) - before
        for thread in begun:
            thread.join(timeout=5)

        assert [thread.name for thread in begun if thread.is_alive()] == []

    # Options and secrets.

    def test_the_options_are_declared(self) -> None:
        assert issubclass(type(self.driver).Options, StoreOptions)
        assert isinstance(self.driver.options, type(self.driver).Options)

    def test_an_unknown_option_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="unknown option nonsense"):
            read_options(self.driver.name, type(self.driver).Options, {"nonsense": "1"})

    def test_every_option_says_what_it_is_for(self) -> None:
        fields = type(self.driver).Options.model_fields

        assert [name for name, field in fields.items() if not field.description] == []

    def test_no_secret_is_shown(self) -> None:
        options = self.driver.options
        shown = f"{self.driver!r} {self.driver} {self.checked!r} {options!r} {options} {options.shown()}"

        assert [secret for secret in options.secrets() if secret in shown] == []

    def test_no_secret_is_in_an_error(self) -> None:
        errors = []
        for location in (self.missing(), "nonsense", "", "a" * 5000):
            try:
                self.driver.get(location).close()
            except StoreError as error:
                errors.append(chain(error))

        assert len(errors) == 4
        assert [secret for secret in self.driver.options.secrets() if secret in " ".join(errors)] == []

    def test_no_secret_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self.read(self.put(pattern(1000)), 1000)
        with contextlib.suppress(StoreError):
            self.driver.get("nonsense").close()

        assert [secret for secret in self.driver.options.secrets() if secret in caplog.text] == []
