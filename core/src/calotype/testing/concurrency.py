"""Cases for concurrent calls: they do not wait for each other, and do not mix up their bytes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import BlobNotFound, Duplicate, Listing, Stored, StoreError, WritableStore
from calotype.stores.bulkhead import Bounds
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Paused, Trickle, assert_same, pattern, read_all
from calotype.testing.restless import restless

RACERS = 8
#: How many times uploads race for a key at the end of their sources.
ROUNDS = 3


class Meeting:
    """A barrier that opens when all expected threads have arrived or left, or after `patience` seconds."""

    def __init__(self, expected: int, patience: float = 5):
        self._missing = expected
        self._patience = patience
        self._is_given_up = False
        self._changed = threading.Condition()

    def leave(self) -> None:
        with self._changed:
            self._missing -= 1
            self._changed.notify_all()

    def come(self) -> bool:
        """Wait for the others, and return whether all have arrived or left."""
        with self._changed:
            self._missing -= 1
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._missing <= 0 or self._is_given_up, self._patience):
                self._is_given_up = True
                self._changed.notify_all()
            return self._missing <= 0


class Concurrency(Harness):
    """Several threads use one instance, as they do in the service."""

    # Uploads of one key.

    @needs(WritableStore)
    def test_of_racing_adds_one_wins(self) -> None:
        self._race(self.span(), self.span() - 500)

    @needs(WritableStore)
    def test_of_adds_that_race_at_their_end_one_wins(self) -> None:
        for _ in range(ROUNDS):
            self._race(1000, 1000)

    def _race(self, size: int, at: int) -> None:
        """Let uploads of one key meet when each has read `at` bytes, and assert that exactly one succeeds."""
        key, meeting = self.key(), Meeting(RACERS)

        def race(number: int) -> Stored | Duplicate:
            arrived = False

            def arrive() -> None:
                nonlocal arrived
                arrived = True
                meeting.come()

            try:
                return self.writable.add(key, Paused(pattern(size, seed=number), at, arrive), size)
            except Duplicate as refusal:
                return refusal
            finally:
                if not arrived:
                    meeting.leave()

        with restless(self.driver), ThreadPoolExecutor(RACERS) as threads:
            results = list(threads.map(race, range(RACERS)))
        won = {number: result for number, result in enumerate(results) if isinstance(result, Stored)}

        assert len(won) == 1
        assert self.left_behind() == []
        ((winner, stored),) = won.items()
        assert_same(self.read(stored.location, size), pattern(size, seed=winner))

    @needs(WritableStore)
    @pytest.mark.parametrize("moment", ["before-its-first-byte", "at-its-end"])
    def test_an_add_that_another_overtakes_harms_nothing(self, moment: str) -> None:
        key, size, twin = self.key(), self.span(), self.writable_twin()
        outcomes: dict[int, Stored | Duplicate] = {}

        def add(number: int, store: WritableStore, source: Trickle) -> None:
            try:
                outcomes[number] = store.add(key, source, size)
            except Duplicate as refusal:
                outcomes[number] = refusal

        other = threading.Thread(target=add, args=(1, twin, Trickle(pattern(size, seed=1))))

        def overtake() -> None:
            other.start()
            other.join(timeout=5)  # a driver may let it wait, but not fail

        at = 0 if moment == "before-its-first-byte" else size - 1
        add(0, self.writable, Paused(pattern(size, seed=0), at, overtake))
        other.join(timeout=self.patience)
        won = [number for number, outcome in outcomes.items() if isinstance(outcome, Stored)]

        assert (len(outcomes), len(won)) == (2, 1), outcomes
        assert self.left_behind() == []
        assert_same(self.read(self.writable.locate(key), size), pattern(size, seed=won[0]))

    @needs(WritableStore)
    def test_an_upload_that_is_discarded_while_it_runs_is_whole_or_fails(self) -> None:
        """A sweep discards the key of a stalled upload, which then continues."""
        key, data, twin = self.key(), pattern(self.span()), self.writable_twin()
        source = Paused(data, len(data) - 500, lambda: twin.discard(key))
        try:
            stored = self.writable.add(key, source, len(data))
        except StoreError:
            self.assert_nothing_under(key)
        else:
            assert_same(self.read(stored.location, len(data)), data)

    # Calls that do not wait for each other.

    @needs(WritableStore)
    def test_a_slow_upload_stops_no_other_call(self) -> None:
        size = self.span()
        done: list[str] = []
        in_time: list[bool] = []
        running: list[threading.Thread] = []
        there, other = self.put(pattern(size)), self.put(pattern(10))

        def use() -> None:
            assert_same(self.read(there, size), pattern(size))
            self.writable.delete(other)
            with pytest.raises(BlobNotFound):
                self.driver.size(other)
            self.writable.add(self.key(), Trickle(pattern(size)), size)
            if isinstance(self.driver, Listing):
                list(self.driver.blobs())
            done.append("all")

        def meanwhile(work: Callable[[], None]) -> None:
            thread = threading.Thread(target=work)
            running.append(thread)
            thread.start()
            thread.join(self.patience)
            in_time.append(not thread.is_alive())

        def add(work: Callable[[], None]) -> None:
            source = Paused(pattern(size), size - 500, lambda: meanwhile(work))
            self.writable.add(self.key(), source)

        add(lambda: add(use))
        for thread in running:
            thread.join(self.patience)

        assert (done, in_time) == (["all"], [True, True]), "calls wait for an upload whose source is slow"

    def test_as_many_transfers_run_at_a_time_as_the_core_allows(self) -> None:
        bounds, size = Bounds(), self.span()
        data = pattern(size)
        location = self.put(data)
        uploads = bounds.max_uploads if self.checked.can(WritableStore) else 0
        meeting = Meeting(bounds.max_downloads + uploads, self.patience)

        def download() -> bool:
            with contextlib.closing(self.driver.get(location)) as reader:
                begun = reader.read(1000)
                return meeting.come() and begun + read_all(reader, limit=size - len(begun)) == data

        def upload(key: str) -> bool:
            met: list[bool] = []
            source = Paused(data, size - 500, lambda: met.append(meeting.come()))
            return self.read(self.writable.add(key, source, size).location, size) == data and met == [True]

        with ThreadPoolExecutor(bounds.max_downloads + uploads) as threads:
            running = [threads.submit(download) for _ in range(bounds.max_downloads)]
            running += [threads.submit(upload, self.key()) for _ in range(uploads)]
            ended = [future.result() for future in running]

        assert ended == [True] * len(running), "some waited until others had ended"

    # Calls that do not mix up their bytes.

    @needs(WritableStore)
    def test_parallel_uploads_do_not_mix(self) -> None:
        keys, size = [self.key() for _ in range(RACERS)], self.span()

        def there_and_back(number: int) -> bool:
            data = pattern(size + number, seed=number)
            location = self.add(keys[number], Trickle(data)).location
            return self.read(location, len(data)) == data

        with restless(self.driver), ThreadPoolExecutor(RACERS) as threads:
            assert list(threads.map(there_and_back, range(RACERS))) == [True] * RACERS

    def test_parallel_downloads_do_not_mix(self) -> None:
        size = self.span()
        blobs = [pattern(size, seed=number) for number in range(RACERS)]
        locations = [self.put(data) for data in blobs]

        def read(number: int) -> bool:
            reader = self.driver.get(locations[number])
            return read_all(reader, limit=size, block=4096) == blobs[number]

        with restless(self.driver), ThreadPoolExecutor(RACERS) as threads:
            assert list(threads.map(read, range(RACERS))) == [True] * RACERS
