"""Cases for the resources that a driver uses: memory, descriptors and threads."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import BlobNotFound, Duplicate, Listing, SourceBroken, WritableStore
from calotype.stores.measured import BLOCK
from calotype.testing.growth import SELF, Growth, need
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Exploding, Flow, Trickle, pattern

#: How often a call is repeated, and how many descriptors or threads may then remain in a driver's pools.
REPETITIONS, POOLED = 30, 5
#: Seconds that a thread may need to end.
ENDING = 5.0
#: Downloads that run at a time in the case of their memory.
DOWNLOADS = 8


class Resources(Harness):
    """A call releases all resources that it takes."""

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    def test_a_large_blob_never_fills_the_process(self, announced: bool) -> None:
        size = self.large_size
        source, growth = Flow(size), Growth()
        location = self.writable.add(self.key(), source, size if announced else None).location
        uploading = growth.peak()
        reader, growth, left = self.driver.get(location), Growth(), size
        try:
            while block := reader.read(BLOCK):
                left -= len(block)
            del block
        finally:
            reader.close()

        assert left == 0
        assert uploading <= self.memory_max, "the upload took more than memory_max"
        assert growth.peak() <= self.memory_max, "the download took more than memory_max"

    def test_parallel_downloads_together_never_fill_the_process(self) -> None:
        blob, all_open = self.put_large(), threading.Barrier(DOWNLOADS)
        share = blob.size // DOWNLOADS

        def download(number: int) -> int:
            with contextlib.closing(self.driver.get(blob.location)) as reader:
                left = share - len(reader.read(BLOCK))
                all_open.wait(self.patience)
                while left > 0 and (block := reader.read(BLOCK)):
                    left -= len(block)
                all_open.wait(self.patience)  # until the others have read their share, too
            return left

        growth = Growth()
        with ThreadPoolExecutor(DOWNLOADS) as threads:
            missing = [left for left in threads.map(download, range(DOWNLOADS)) if left > 0]

        assert missing == []
        assert growth.peak() <= self.memory_max, f"{DOWNLOADS} downloads took more than memory_max together"

    def test_reading_leaks_nothing(self) -> None:
        location = self.put(pattern(self.span()))

        def work(number: int) -> None:
            reader = self.driver.get(location)
            while reader.read(BLOCK) and number % 2:
                pass
            reader.close()
            self.driver.size(location)

        self._repeat(work)

    def test_reading_what_is_missing_leaks_nothing(self) -> None:
        location = self.missing()

        def work(number: int) -> None:
            for verb in (self.driver.get, self.driver.size):
                with pytest.raises(BlobNotFound):
                    verb(location)

        self._repeat(work)

    @needs(WritableStore)
    def test_adding_leaks_nothing(self) -> None:
        def work(number: int) -> None:
            data = pattern(self._length(number))
            self.writable.delete(self.writable.add(self.key(), Trickle(data), len(data)).location)

        self._repeat(work)

    @needs(WritableStore)
    def test_an_add_that_fails_leaks_nothing(self) -> None:
        def work(number: int) -> None:
            source = Exploding(pattern(self._length(number)), SourceBroken("the client went away"))
            with pytest.raises(SourceBroken):
                self.writable.add(self.key(), source)

        self._repeat(work)

    @needs(WritableStore)
    def test_an_add_that_is_refused_leaks_nothing(self) -> None:
        key = self.key()
        self.add(key, Trickle(pattern(10)))

        def work(number: int) -> None:
            with pytest.raises(Duplicate):
                self.writable.add(key, Trickle(pattern(self._length(number))))

        self._repeat(work)

    @needs(WritableStore, Listing)
    def test_listing_leaks_nothing(self) -> None:
        for _ in range(3):
            self.put(pattern(10))

        def work(number: int) -> None:
            for listed in (self.listing.blobs(), self.listing.attempts()):
                next(listed, None)
                with contextlib.suppress(AttributeError):
                    listed.close()  # type: ignore[attr-defined]  # a generator that is not read to its end

        self._repeat(work)

    def test_closing_leaks_nothing(self) -> None:
        location = self.put(pattern(1000))

        def work(number: int) -> None:
            twin = self.twin()
            twin.get(location).close()
            if isinstance(twin, WritableStore):
                twin.delete(twin.add(self.key(), Trickle(pattern(1000)), 1000).location)
            twin.close()

        self._repeat(work)

    def _length(self, number: int) -> int:
        """Return a small size, or for every third number a size that needs several parts."""
        return 1000 if number % 3 else self.span()

    def _repeat(self, work: Callable[[int], None]) -> None:
        """Run some work many times, and assert that no descriptors and threads are left over."""
        need(SELF / "fd")
        for number in range(3):
            work(number)
        descriptors, threads = _open(), _running()
        for number in range(REPETITIONS):
            work(number)
        end = time.monotonic() + min(ENDING, self.patience)
        while _running() - threads >= POOLED and time.monotonic() < end:
            time.sleep(0.1)
        gc.collect()

        assert _open() - descriptors < POOLED, f"descriptors are left over by {REPETITIONS} calls"
        assert _running() - threads < POOLED, f"threads are left over: {threading.enumerate()}"


def _open() -> int:
    return len(os.listdir(SELF / "fd"))


def _running() -> int:
    return len(os.listdir(SELF / "task"))
