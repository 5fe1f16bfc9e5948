"""Cases for the resources that a driver uses: memory, descriptors and threads."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calotype.stores import BlobNotFound, Duplicate, Listing, SourceBroken, WritableStore
from calotype.stores.measured import BLOCK
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Exploding, Flow, Trickle, pattern

#: How often a call is repeated, and how many descriptors or threads may then remain in a driver's pools.
REPETITIONS, POOLED = 30, 5
#: Seconds that a thread may need to end.
ENDING = 5.0
SELF = Path("/proc/self")


class Growth:
    """The peak growth of this process's memory in bytes, including memory outside Python's allocator."""

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # memory that glibc keeps would hide a driver's use
        SELF.joinpath("clear_refs").write_text("5")  # resets VmHWM to the memory in use
        self._before = _status("VmRSS")

    def peak(self) -> int:
        return _status("VmHWM") - self._before


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", SELF.joinpath("status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


class Resources(Harness):
    """A call releases all resources that it takes."""

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    def test_a_large_blob_never_fills_the_process(self, announced: bool) -> None:
        size = self.large_size
        self._need(SELF / "clear_refs")
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
        self._need(SELF / "fd")
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

    @staticmethod
    def _need(path: Path) -> None:
        if not path.exists():
            pytest.skip(f"this system has no {path}")


def _open() -> int:
    return len(os.listdir(SELF / "fd"))


def _running() -> int:
    return len(os.listdir(SELF / "task"))
