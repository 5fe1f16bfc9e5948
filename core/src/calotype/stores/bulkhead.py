"""Bulkheads: limits on how much of this process a store can hold while its driver hangs.

A driver is plain blocking Python, and a call that hangs cannot be ended. Therefore each store has threads of
its own for its calls, up to a limit. A request waits for an answer for a limited time and then gets 503; the
thread remains occupied until the driver returns.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from typing import Protocol, TypeVar

from pydantic import Field

from calotype.config.quantities import Seconds
from calotype.stores.daemon_threads import DaemonThreads
from calotype.stores.errors import Busy, Overdue, Unavailable
from calotype.stores.options import StoreOptions
from calotype.stores.slots import Clock, Slot, Slots
from calotype.stores.values import Reader

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Work = Callable[[], Result]
Drop = Callable[[Result], object]
StandIn = Callable[[], AbstractContextManager[object]]

#: Returns the context that a thread enters before a longer wait. During a request,
#: `calotype.api.http.access_log` sets one in which another worker replaces the waiting one.
STAND_IN: ContextVar[StandIn] = ContextVar("STAND_IN", default=contextlib.nullcontext)

#: Seconds that a thread waits before it enters STAND_IN; most calls have ended by then.
BRIEF = 0.05
#: Seconds that a call waits for a free slot; its own timeout begins afterwards.
QUEUE = 2.0
#: Seconds between two checks of an upload, and seconds without an answer after which a
#: driver is considered stalled.
LOOK, STALLED = 1.0, 2.0
#: Maximum concurrent calls in the threads of their callers. Only calls that take microseconds run there.
HERE = 4
#: Maximum wait of `close` for a driver, in seconds. It is short, because the process is about to end.
CLOSING = 2.0


def _forget(result: object) -> None:
    """Drop a late result."""


class Bounds(StoreOptions):
    """The limits on a store's calls, as an operator sets them."""

    call_timeout: Seconds = Field(
        30,
        gt=0,
        le=86400,
        description="how long a call waits for the driver, in seconds; then the request gets 503",
    )
    stall_timeout: Seconds = Field(
        300,
        gt=0,
        le=86400,
        description="how long a driver may transfer no byte, in seconds; then the transfer is abandoned",
    )
    max_calls: int = Field(
        16, ge=1, description="maximum concurrent calls and reads of up to 512 KiB, including ones that hang"
    )
    max_uploads: int = Field(12, ge=1, description="maximum concurrent uploads, including uploads that hang")
    max_downloads: int = Field(
        32,
        ge=1,
        description="maximum concurrent downloads through this process, including downloads that hang",
    )


class Progress(Protocol):
    """The progress of an upload, which its bulkhead watches."""

    def idle(self) -> float:
        """Return the seconds since the driver last asked for bytes; 0 while it waits for its source."""
        ...

    def cut(self) -> bool:
        """Give the driver no more bytes. Return False, without effect, if it is waiting for bytes."""
        ...


class Bulkhead:
    """The slots and threads of one store; all threads share it."""

    def __init__(self, store: str, bounds: Bounds | None = None):
        self.bounds = bounds or Bounds()
        self._store = store
        self._threads = DaemonThreads(f"store-{store}")
        self._calls = Slots("calls", self.bounds.max_calls)
        self._uploads = Slots("uploads", self.bounds.max_uploads)
        self._downloads = Slots("downloads", self.bounds.max_downloads)
        self._here = threading.BoundedSemaphore(HERE)

    @property
    def hanging(self) -> int:
        """The number of calls, uploads and downloads that were abandoned and have not returned."""
        return self._calls.lost + self._uploads.lost + self._downloads.lost

    def require_room(self) -> None:
        """Raise an error if calls that hang leave no slot for an upload.

        Raises:
            Overdue: calls that hang hold all slots for calls, or all slots for uploads.
        """
        self._require_some(self._calls)
        self._require_some(self._uploads)

    def require_free(self) -> None:
        """Raise an error unless a slot for an upload and one for a download are free at this moment.

        Raises:
            Overdue: calls that hang hold all slots of one kind.
            Busy: all slots for uploads, or all slots for downloads, are in use.
        """
        self._require_some(self._calls)
        for slots in (self._uploads, self._downloads):
            if slots.are_taken:
                raise self._refusal(slots)

    def call(self, work: Work[Result], drop: Drop[Result] = _forget) -> Result:
        """Run a short call in a thread of the store, and return its result.

        If the result arrives after the call was abandoned, `drop` gets it.

        Raises:
            Overdue: too many calls hang, or this one has not answered within `call_timeout` seconds.
            Busy: too many calls are running.
            BaseException: the work raised it.
        """
        clock = Clock()
        slot = self._take(self._calls, clock.idle)
        with clock.running():
            future = self._begin(work, slot, drop)
            if not _has_ended(future, BRIEF):
                with STAND_IN.get()():
                    if not _has_ended(future, self.bounds.call_timeout):
                        self._give_up(future, slot, self.bounds.call_timeout)
        return future.result()

    def call_here(self, work: Work[Result], drop: Drop[Result] = _forget) -> Result:
        """Run a short call in the calling thread, or as `call` if HERE other threads are doing so.

        It is meant for calls that take microseconds, such as opening a local file, where changing threads
        costs more than the call. If the disk hangs, at most HERE threads hang with it.
        """
        if not self._here.acquire(timeout=BRIEF):
            return self.call(work, drop)
        try:
            return work()
        finally:
            self._here.release()

    def carry(self, work: Work[Result], progress: Progress, drop: Drop[Result]) -> Result:
        """Run an upload in a thread of the store as long as it makes progress, and return its result.

        Raises:
            Overdue: too many uploads hang, or this one made no progress for `stall_timeout` seconds.
                From then on the driver gets no more bytes of the source.
            Busy: too many uploads are running.
            BaseException: the work raised it.
        """
        slot = self._take(self._uploads, progress.idle)
        future = self._begin(work, slot, drop)
        while not _has_ended(future, LOOK):
            if progress.idle() >= STALLED:
                with STAND_IN.get()():
                    self._await_progress(future, slot, progress)
        return future.result()

    def open(self, work: Work[Reader]) -> Reader:
        """Open a reader whose reads run in threads of the store; it holds a slot until it is closed.

        Raises:
            Overdue, Busy: see `call`.
        """
        clock = Clock()
        slot = self._take(self._downloads, clock.idle)
        try:
            with clock.running():
                reader = self.call(work, lambda late: late.close())
        except BaseException:
            slot.leave()
            raise
        return _SlotReader(reader, self, slot, clock)

    def close(self, work: Work[object]) -> None:
        """Close the driver, waiting CLOSING seconds at most, and end idle threads."""
        future = self._begin(work, None)
        if not _has_ended(future, CLOSING):
            log.warning("store '%s': its driver does not close; the process ends without it", self._store)
        self._threads.end()
        if future.done():
            future.result()

    def read(self, work: Work[bytes], slot: Slot) -> bytes:
        """Read from a reader that holds the slot; raises Overdue after `stall_timeout` seconds."""
        future = self._begin(work, None)
        if not _has_ended(future, self.bounds.stall_timeout):
            self._give_up(future, slot, self.bounds.stall_timeout)
        return future.result()

    def end_reading(self, work: Work[object], slot: Slot) -> None:
        """Close a reader, and free its slot afterwards. Do not wait for a driver that hangs."""
        future = self._begin(work, slot)
        if _has_ended(future, BRIEF):
            future.result()

    def _take(self, slots: Slots, idle: Callable[[], float]) -> Slot:
        """Take a slot. Wait up to QUEUE seconds for one, unless all are lost.

        Raises:
            Overdue: calls that hang hold all slots.
            Busy: all slots are in use.
        """
        self._require_some(slots)
        slot = slots.take(idle, BRIEF)
        if slot is None:
            with STAND_IN.get()():
                slot = slots.take(idle, QUEUE)
        if slot is None:
            raise self._refusal(slots)
        return slot

    def _require_some(self, slots: Slots) -> None:
        """Raise Overdue if all slots are lost: waiting for one is then useless."""
        if slots.lost >= slots.number:
            raise self._refusal(slots)

    def _refusal(self, slots: Slots) -> Unavailable:
        """Return the error for a caller that gets no slot: Overdue if every slot hangs, otherwise Busy."""
        hanging = slots.hanging(STALLED)
        every = f"all {slots.number} of its slots for {slots.kind} (max_{slots.kind}) are"
        if hanging >= slots.number:
            return Overdue(self._store, f"it does not answer: {every} held by calls that hang")
        some = f", {hanging} of them by calls that hang" if hanging else ""
        return Busy(self._store, f"it is busy: {every} in use{some}; try again later")

    def _begin(self, work: Work[Result], slot: Slot | None, drop: Drop[Result] = _forget) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            self._threads.run(partial(self._run, work, future, slot, drop))
        except BaseException:  # no thread can be started
            if slot is not None:
                slot.leave()
            raise
        return future

    def _run(self, work: Work[Result], future: Future[Result], slot: Slot | None, drop: Drop[Result]) -> None:
        """Run the work in a thread of the store, free its slot, and pass on its outcome."""
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - SystemExit too: the caller decides what it means
            if slot is not None:
                slot.leave()
            if not _tell(future.set_exception, error) and slot is not None:
                log.warning("store '%s': a call that hung has failed with %r", self._store, error)
        else:
            if slot is not None:
                slot.leave()
            if not _tell(future.set_result, result):
                drop(result)

    def _await_progress(self, future: Future[Result], slot: Slot, progress: Progress) -> None:
        """Return when the driver makes progress or has ended."""
        while not _has_ended(future, LOOK) and (idle := progress.idle()) >= STALLED:
            if idle >= self.bounds.stall_timeout and progress.cut():
                self._give_up(future, slot, self.bounds.stall_timeout)

    def _give_up(self, future: Future[Result], slot: Slot, seconds: float) -> None:
        """Raise Overdue, unless the work has just ended."""
        if future.cancel():
            slot.is_lost = True
            raise Overdue(self._store, f"it has not answered for {seconds:g} seconds")


class _SlotReader:
    """A driver's reader, which only threads of the store use, one at a time."""

    def __init__(self, reader: Reader, bulkhead: Bulkhead, slot: Slot, clock: Clock):
        self._reader = reader
        self._bulkhead = bulkhead
        self._slot = slot
        self._clock = clock
        self._turn = threading.Lock()
        self._closed = False

    def read(self, size: int = -1, /) -> bytes:
        with self._clock.running():
            return self._bulkhead.read(partial(self._in_turn, self._reader.read, size), self._slot)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._bulkhead.end_reading(partial(self._in_turn, self._reader.close), self._slot)

    def _in_turn(self, method: Callable[..., Result], *arguments: object) -> Result:
        """Call one method at a time: a reader that hangs is closed when its read returns."""
        with self._turn:
            return method(*arguments)


def _has_ended(future: Future[Result], seconds: float) -> bool:
    """Wait up to this many seconds, and return whether the work has ended."""
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def _tell(tell: Callable[[Result], None], outcome: Result) -> bool:
    """Set the outcome of a future, and return True; return False if the future was abandoned."""
    try:
        tell(outcome)
    except InvalidStateError:
        return False
    return True
