"""Cases for the durability of `add`: a whole blob after it has returned, nothing after it was killed."""

from __future__ import annotations

import datetime
import os
import signal
import time
from collections.abc import Callable

import pytest

from calotype.stores import Blob, BlobNotFound, Listing, Reader, StoreFull, TooLarge, WritableStore
from calotype.testing.harness import Harness, needs
from calotype.testing.processes import Held, Tell, forked
from calotype.testing.readers import Paused, Trickle, assert_same, pattern, read_all

#: Name -> how many bytes an upload of the given size has read when its process is killed.
KILLED: dict[str, Callable[[int], int]] = {
    "after-the-first-byte": lambda size: 1,
    "in-the-middle": lambda size: size // 2,
    "after-the-last-byte": lambda size: size,
}
#: Seconds between two listings of an upload that is idle.
APART = 2.5
#: Seconds until a server has noticed that a client was killed.
NOTICED = 5.0


class Durability(Harness):
    """The blob of an `add` that has returned is durable, and the remains of a killed one can be removed."""

    @needs(WritableStore)
    def test_an_added_blob_is_there_for_a_second_instance_at_once(self) -> None:
        twin = self.twin()
        twin.check()  # so that the second instance has connected before the blob is added
        for size in (0, 10, self.span()):
            data = pattern(size)
            location = self.writable.add(self.key(), Trickle(data), size).location
            assert_same(read_all(twin.get(location), limit=size), data)

    @needs(WritableStore)
    def test_an_added_blob_outlives_a_process_that_is_killed_at_once(self) -> None:
        self._need_processes()
        key, data = self.key(), pattern(self.span())

        def work(tell: Tell, end: Reader) -> None:
            tell(self.writable_twin().add(key, Trickle(data), len(data)).location)
            os.kill(os.getpid(), signal.SIGKILL)

        with forked(work) as child:
            location = child.hear(self.patience)

        assert_same(self.read(location, len(data), self.twin()), data)

    # An upload whose process is killed.

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    @pytest.mark.parametrize("moment", KILLED)
    def test_a_killed_upload_is_no_blob(self, moment: str, announced: bool) -> None:
        key = self._killed(moment, announced)
        twin = self.writable_twin()

        with pytest.raises(BlobNotFound):
            twin.get(twin.locate(key)).close()
        if isinstance(twin, Listing):
            assert [blob for blob in twin.blobs() if blob.location == twin.locate(key)] == []
        twin.discard(key)
        self._await_the_server()

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    @pytest.mark.parametrize("moment", KILLED)
    def test_the_remains_of_a_killed_upload_are_found_and_removed(self, moment: str, announced: bool) -> None:
        key = self._killed(moment, announced)
        twin = self.writable_twin()
        if self.left_behind() and isinstance(twin, Listing):
            assert [attempt for attempt in twin.attempts() if self._may_be_of(key, attempt)] != []
        twin.discard(key)
        twin.discard(key)
        self._await_the_server()

        self.assert_nothing_under(key)

    def _killed(self, moment: str, announced: bool) -> str:
        """Return the key of an upload whose process was killed."""
        self._need_processes()
        key, size = self.key(), self.span()

        def work(tell: Tell, end: Reader) -> None:
            source = Held(Trickle(pattern(size)), KILLED[moment](size), tell, end)
            self.writable_twin().add(key, source, size if announced else None)
            tell("stored")

        with forked(work) as child:
            reached = child.hear(self.patience)
            child.kill()
        if reached == "stored" and announced:
            self.writable_twin().discard(key)
            pytest.skip("the driver reads no further than the announced size, and so the blob is complete")
        assert reached == "reached", "the driver has stored a blob before its source ended"
        return key

    def _await_the_server(self) -> None:
        """Wait until a server has noticed that its client was killed, and has cleaned up."""
        end = time.monotonic() + min(NOTICED, self.patience)
        while self.left_behind() and time.monotonic() < end:
            time.sleep(0.1)

    def _need_processes(self) -> None:
        if not self.survives_processes:
            pytest.skip(f"the blobs of {type(self.driver).__name__} do not survive their process")

    # An upload that is running.

    @needs(WritableStore, Listing)
    def test_a_running_upload_is_an_attempt_under_its_key(self) -> None:
        key = self.key()
        (attempts,) = self._attempts_of_a_running_upload(key, looks=1)

        assert attempts != [], "attempts() lists no running upload (or set leaves_attempts = False)"
        assert {attempt.location for attempt in attempts} <= {key, ""}

    @needs(WritableStore, Listing)
    def test_an_attempt_is_dated_when_it_wrote(self) -> None:
        first, second = (
            [attempt.modified for attempt in attempts]
            for attempts in self._attempts_of_a_running_upload(self.key(), looks=2)
        )

        assert {date.utcoffset() for date in first} == {datetime.timedelta(0)}
        assert abs(datetime.datetime.now(datetime.UTC) - max(first)) < datetime.timedelta(hours=1)
        assert max(second) - max(first) < datetime.timedelta(seconds=APART / 2), "nothing was written since"

    def _attempts_of_a_running_upload(self, key: str, looks: int) -> list[list[Blob]]:
        """Return what `attempts` of a second instance lists for an upload that reads its last bytes."""
        if not self.leaves_attempts:
            pytest.skip(f"{type(self).__name__} says that an upload that is killed leaves nothing")
        found: list[list[Blob]] = []
        twin = self.twin()
        assert isinstance(twin, Listing)

        def seen() -> list[Blob]:
            return [attempt for attempt in twin.attempts() if self._may_be_of(key, attempt)]

        def look() -> None:
            end = time.monotonic() + min(NOTICED, self.patience)
            while not seen() and time.monotonic() < end:
                time.sleep(0.1)
            for number in range(looks):
                time.sleep(APART if number else 0.5)
                found.append(seen())

        data = pattern(self.span())
        self.add(key, Paused(data, len(data) - 1, look))
        return found

    def _may_be_of(self, key: str, attempt: Blob) -> bool:
        """Return whether an attempt may be of this key. If only the test uses the place, a new one may be."""
        return attempt.location in (key, "") or (self.alone and attempt not in self._before)

    # A store without room.

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    def test_a_full_store_says_so_and_keeps_nothing(self, announced: bool) -> None:
        self.need_hook("full")
        key, size = self.key(), self.span()
        with self.full(self.driver) as store:
            assert isinstance(store, WritableStore)
            with pytest.raises(StoreFull) as caught:
                store.add(key, Trickle(pattern(size)), size if announced else None)
            assert caught.value.store == store.name

        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_a_full_store_is_read_listed_and_emptied(self) -> None:
        self.need_hook("full")
        data, key = pattern(1000), self.key()
        location = self.put(data)
        with self.full(self.driver) as store:
            assert isinstance(store, WritableStore)
            with pytest.raises(StoreFull):
                store.add(key, Trickle(pattern(self.span())), self.span())
            assert_same(self.read(location, len(data), store), data)
            assert store.size(location) in (len(data), None)
            if isinstance(store, Listing):
                assert location in [blob.location for blob in store.blobs()]
            store.discard(key)
            store.delete(location)

        with pytest.raises(BlobNotFound):
            self.driver.size(location)

    @needs(WritableStore)
    def test_a_blob_that_can_never_fit_is_too_large(self) -> None:
        self.need_hook("too_small")
        key, size = self.key(), self.span()
        with self.too_small(self.driver) as store:
            assert isinstance(store, WritableStore)
            with pytest.raises(TooLarge) as caught:
                store.add(key, Trickle(pattern(size)), size)
            self.assert_discreet(caught.value)

        self.assert_nothing_under(key)
