"""Cases for connections that break or hang: calls end in time, and no blob is cut short."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from calotype.stores import BlobNotFound, StoreError, Unavailable, WritableStore
from calotype.testing.calls import calls_of, error_of
from calotype.testing.faultproxy import Fault
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Trickle, assert_same, pattern, read_all

#: How a request of an upload, and an answer of a download, breaks.
BROKEN_UPLOADS = {"request": Fault(reset_up=1000), "answer": Fault(deaf=True)}
BROKEN_DOWNLOADS = {"reset": Fault(reset_down=1000), "closed": Fault(truncate_down=1000)}
#: The number of requests of an upload, or of a download, that break, one in each round.
ROUNDS = 8


class Connections(Harness):
    """Cases that use the hook `proxied`, for drivers of network services."""

    def test_each_call_ends_although_the_backend_never_answers(self) -> None:
        self.need_hook("proxied")
        location, key = self.put(pattern(1000)), self.key()
        errors: dict[str, Exception | None] = {}
        with self.proxied(self.driver) as proxied:
            calls = calls_of(proxied.store, location, key)

            def run(name: str) -> None:
                errors[name] = error_of(calls[name])

            threads = {name: threading.Thread(target=run, args=(name,), daemon=True) for name in calls}
            with proxied.proxy.silent():
                end = time.monotonic() + self.deadline
                for thread in threads.values():
                    thread.start()
                for thread in threads.values():
                    thread.join(max(0, end - time.monotonic()))
                late = [name for name, thread in threads.items() if thread.is_alive()]

        assert late == [], f"these calls have not ended after {self.deadline:g} seconds"
        if errors["check"] is None:  # the cases of a place that is away judge this
            del errors["check"]
        wrong = {name: error for name, error in errors.items() if not isinstance(error, Unavailable)}
        assert wrong == {}, "a driver raises Unavailable if its backend does not answer"

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    @pytest.mark.parametrize("part", BROKEN_UPLOADS)
    def test_an_upload_whose_connection_breaks_is_whole_or_fails(self, part: str, announced: bool) -> None:
        self.need_hook("proxied")
        data = pattern(self.span())
        with self.proxied(self.driver) as proxied:
            assert isinstance(proxied.store, WritableStore)
            for number in range(ROUNDS):
                key, sent = self.key(), len(proxied.proxy.requests)
                proxied.proxy.inject(BROKEN_UPLOADS[part], skip=number)
                try:
                    location = proxied.store.add(
                        key, Trickle(data), len(data) if announced else None
                    ).location
                except StoreError:
                    proxied.proxy.heal()
                    self._assert_whole_or_missing(key, data)
                    continue
                proxied.proxy.heal()
                assert_same(self.read(location, len(data)), data)
                if len(proxied.proxy.requests) - sent <= number:
                    return

    def _assert_whole_or_missing(self, key: str, data: bytes) -> None:
        """Assert that no part of a failed upload can be read, and that `discard` removes all of it.

        If the answer to the last request was lost, the driver cannot know that the blob is there.
        """
        with contextlib.suppress(BlobNotFound):
            assert_same(self.read(self.writable.locate(key), len(data)), data)
        self.writable.discard(key)
        self.assert_nothing_under(key)

    @pytest.mark.parametrize("end", BROKEN_DOWNLOADS)
    def test_a_download_whose_connection_breaks_is_whole_or_fails(self, end: str) -> None:
        self.need_hook("proxied")
        data = pattern(self.span())
        location = self.put(data)
        with self.proxied(self.driver) as proxied:
            for number in range(ROUNDS):
                sent = len(proxied.proxy.requests)
                proxied.proxy.inject(BROKEN_DOWNLOADS[end], skip=number)
                with contextlib.suppress(StoreError):
                    assert_same(read_all(proxied.store.get(location), limit=len(data)), data)
                proxied.proxy.heal()
                if len(proxied.proxy.requests) - sent <= number:
                    return
