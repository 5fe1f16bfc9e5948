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
from calotype.stores.contract import Reader
from calotype.stores.daemon_threads import DaemonThreads
from calotype.stores.errors import Busy, Overdue, Unavailable
from calotype.stores.options import StoreOptions
from calotype.stores.slots import Clock, Slot, Slots

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Work = Callable[[], Result]
Drop = Callable[[Result], object]
StandIn = Callable[[], AbstractContextManager[object]]

#: The context in which a thread waits longer than usual. During a request, another worker replaces the
#: waiting one: `calotype.api.http.access_log` sets it.
STAND_IN: ContextVar[StandIn] = ContextVar("STAND_IN", default=contextlib.nullcontext)

#: Seconds that a thread waits before it enters STAND_IN; most calls have ended by then.
BRIEF = 0.05
#: Seconds that a call waits for a free slot; its own timeout begins afterwards.
QUEUE = 2.0
#: Seconds between two checks of an upload, and seconds without an answer after which a driver is stalled.
LOOK, STALLED = 1.0, 2.0
#: Calls at a time that run in the threads of their callers, because they take microseconds.
HERE = 4
#: Seconds that `close` waits for a driver, because the process is about to end.
CLOSING = 2.0


def _forget(result: object) -> None:
    """Drop a late result."""


class Bounds(StoreOptions):
    """The limits on a store's calls, as an operator sets them."""

    call_timeout: Seconds = Field(
        30,
        gt=0,
        le=86400,
        description="seconds that the driver may take to answer; then the request gets 503",
    )
    stall_timeout: Seconds = Field(
        300,
        gt=0,
        le=86400,
        description="seconds without a byte because of the driver; then the transfer is abandoned",
    )
    max_calls: int = Field(16, ge=1, description="maximum concurrent calls, those that hang included")
    max_uploads: int = Field(12, ge=1, description="maximum concurrent uploads, those that hang included")
    max_downloads: int = Field(
        32,
        ge=1,
        description="maximum concurrent downloads through this process, those that hang included",
    )


class Progress(Protocol):
    """The progress of an upload, which its bulkhead watches."""

    def idle(self) -> float:
        """Return the seconds since the driver last asked for bytes; 0 while it waits for its source."""
        ...

    def cut(self) -> bool:
        """Give the driver no more bytes. Return False if it is waiting for some at this moment."""
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
        """Return if an upload would be attempted.

        Raises:
            Overdue: all slots for calls, or for uploads, are held by calls that hang.
        """
        self._require_some(self._calls)
        self._require_some(self._uploads)

    def require_free(self) -> None:
        """Return if the store has a slot for an upload and one for a download at this moment.

        Raises:
            Overdue: all slots of one kind are held by calls that hang.
            Busy: all are in use.
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
            BaseException: whatever the work raises.
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
        """As `call`, but in the calling thread while only a few others do the same.

        This is for calls that take microseconds, such as opening a local file, where changing threads costs
        more than the call. If the disk hangs, only those few threads hang with it.
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
            BaseException: whatever the work raises.
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
            Overdue, Busy: as `call`.
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
        """Close a reader, and free its slot afterwards. If the driver hangs, return before that."""
        future = self._begin(work, slot)
        if _has_ended(future, BRIEF):
            future.result()

    def _take(self, slots: Slots, idle: Callable[[], float]) -> Slot:
        """Take a slot, waiting up to QUEUE seconds for one, but not if all are lost.

        Raises:
            Overdue: all are held by calls that hang.
            Busy: all are in use.
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
        """Return the error for a caller that gets no slot: the store hangs, or it is only in demand."""
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
    """A driver's reader, used only in threads of the store and by one of them at a time."""

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
    """Set the outcome of a future. Return False if it was abandoned."""
    try:
        tell(outcome)
    except InvalidStateError:
        return False
    return True
