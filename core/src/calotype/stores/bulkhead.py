"""Bulkheads: how much of this process a store may hold when its driver hangs.

A driver is plain blocking Python, and nobody can end a call that hangs. Therefore a store's calls run in
threads of its own, of which there are only so many. A request waits for the answer for a limited time, and
then says that the store is away. The thread stays with the store until the driver comes back.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from typing import Protocol, TypeVar

from pydantic import Field

from calotype.config.quantities import Seconds
from calotype.stores.contract import Reader
from calotype.stores.errors import Overdue
from calotype.stores.options import StoreOptions

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Work = Callable[[], Result]
Drop = Callable[[Result], object]
StandIn = Callable[[], AbstractContextManager[object]]

#: What a thread does around a wait that takes longer than usual. A request's worker has another worker
#: stand in for it: `calotype.api.http.access_log` sets this for each request.
STAND_IN: ContextVar[StandIn] = ContextVar("STAND_IN", default=contextlib.nullcontext)

#: Seconds that a thread waits before another one stands in for it: most calls have ended by then.
BRIEF = 0.05
#: Seconds that a call waits for a place; what waits there has no deadline of its own yet.
QUEUE = 2.0
#: Seconds between two looks at an upload, and after which a driver that asks for nothing counts as stalled.
LOOK, STALLED = 1.0, 2.0
#: Calls that run in the threads of their callers at a time, because they take microseconds.
HERE = 4
#: Seconds that `close` waits for a driver: the process is about to end.
CLOSING = 2.0
#: Seconds after which a thread without work ends.
_IDLE = 10.0


def _forget(result: object) -> None:
    """Do nothing with what comes too late."""


class Bounds(StoreOptions):
    """How much of a process one store may hold, and for how long."""

    call_timeout: Seconds = Field(
        30,
        gt=0,
        le=86400,
        description="seconds the driver may take to answer before a request is told 503",
    )
    stall_timeout: Seconds = Field(
        300,
        gt=0,
        le=86400,
        description="seconds without a byte, by the driver's doing, after which a transfer is given up",
    )
    max_calls: int = Field(16, ge=1, description="calls at a time, those that hang included")
    max_uploads: int = Field(12, ge=1, description="uploads at a time, those that hang included")
    max_downloads: int = Field(
        32, ge=1, description="downloads at a time that pass through this process, those that hang included"
    )


class Progress(Protocol):
    """How an upload goes on."""

    def idle(self) -> float:
        """Return for how many seconds the driver has asked for nothing; 0 while it waits for its source."""
        ...

    def cut(self) -> bool:
        """Give the driver no more bytes from now on; False if it waits for some just now."""
        ...


class Bulkhead:
    """The places and threads of one store; shared by all threads."""

    def __init__(self, store: str, bounds: Bounds | None = None):
        self.bounds = bounds or Bounds()
        self._store = store
        self._threads = _Threads(f"store-{store}")
        self._calls = _Places(self.bounds.max_calls)
        self._uploads = _Places(self.bounds.max_uploads)
        self._downloads = _Places(self.bounds.max_downloads)
        self._here = threading.BoundedSemaphore(HERE)

    @property
    def hanging(self) -> int:
        """The number of calls and uploads for which nobody waits any more, and which have not come back."""
        return self._calls.lost + self._uploads.lost

    def require_room(self) -> None:
        """Return unless an upload would be refused at once, because all that the store may have hangs.

        Raises:
            Overdue: it would.
        """
        for places, what in ((self._calls, "calls"), (self._uploads, "uploads")):
            if places.lost >= places.number:
                raise self._full(places, what)

    def call(self, work: Work[Result], drop: Drop[Result] = _forget) -> Result:
        """Do something short in a thread of the store, and return what it returns.

        `drop` gets what is returned too late, when nobody waits for it any more.

        Raises:
            Overdue: too many calls hang, or this one has not answered within `call_timeout` seconds.
            BaseException: what the work raises.
        """
        self._enter(self._calls, "calls")
        future = self._begin(work, self._calls, drop)
        if not _has_ended(future, BRIEF):
            with STAND_IN.get()():
                if not _has_ended(future, self.bounds.call_timeout):
                    self._give_up(future, self._calls, self.bounds.call_timeout)
        return future.result()

    def call_here(self, work: Work[Result], drop: Drop[Result] = _forget) -> Result:
        """As `call`, but in the calling thread while only a few others do so.

        It is for what takes microseconds, as to open a local file: to change threads would cost more. If the
        disk hangs, it takes those few threads with it, and no more.
        """
        if not self._here.acquire(timeout=BRIEF):
            return self.call(work, drop)
        try:
            return work()
        finally:
            self._here.release()

    def carry(self, work: Work[Result], progress: Progress, drop: Drop[Result]) -> Result:
        """Do an upload in a thread of the store for as long as it goes on, and return what it returns.

        Raises:
            Overdue: too many uploads hang, or this one has not moved for `stall_timeout` seconds.
                The driver gets no more bytes of the source then.
            BaseException: what the work raises.
        """
        self._enter(self._uploads, "uploads")
        future = self._begin(work, self._uploads, drop)
        while not _has_ended(future, LOOK):
            if progress.idle() >= STALLED:
                with STAND_IN.get()():
                    self._await_progress(future, progress)
        return future.result()

    def open(self, work: Work[Reader]) -> Reader:
        """Open a reader whose reads run in threads of the store; it has a place until it is closed.

        Raises:
            Overdue: as `call`.
        """
        self._enter(self._downloads, "downloads")
        try:
            reader = self.call(work, lambda late: late.close())
        except BaseException:
            self._downloads.leave()
            raise
        return _Lent(reader, self)

    def close(self, work: Work[object]) -> None:
        """Do the last thing that is to be done, but do not wait long for it, and end idle threads."""
        future = self._begin(work, None)
        if not _has_ended(future, CLOSING):
            log.warning("store '%s': its driver does not close; it is left to itself", self._store)
        self._threads.end()
        if future.done():
            future.result()

    def read(self, work: Work[bytes]) -> bytes:
        """Read for a reader that has a place; raises Overdue after `stall_timeout` seconds."""
        future = self._begin(work, None)
        if not _has_ended(future, self.bounds.stall_timeout) and future.cancel():
            raise self._silent(self.bounds.stall_timeout)
        return future.result()

    def end_reading(self, work: Work[object]) -> None:
        """Close a reader, and leave its place once that is done; a driver that hangs is not waited for."""
        future = self._begin(work, self._downloads)
        if _has_ended(future, BRIEF):
            future.result()

    def _enter(self, places: _Places, what: str) -> None:
        if not places.take():
            raise self._full(places, what)

    def _full(self, places: _Places, what: str) -> Overdue:
        return Overdue(
            self._store, f"it does not answer: {places.number} {what} wait for it, and it may have no more"
        )

    def _begin(
        self, work: Work[Result], places: _Places | None, drop: Drop[Result] = _forget
    ) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            self._threads.run(partial(self._run, work, future, places, drop))
        except BaseException:  # no thread can be started
            if places is not None:
                places.leave()
            raise
        return future

    def _run(
        self, work: Work[Result], future: Future[Result], places: _Places | None, drop: Drop[Result]
    ) -> None:
        """Do the work, leave its place, and tell whoever waits; in a thread of the store."""
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it is the caller's to judge
            self._leave(places)
            if not _tell(future.set_exception, error) and places is not None:
                places.find()
                log.warning("store '%s': a call that hung has failed with %r", self._store, error)
        else:
            self._leave(places)
            if not _tell(future.set_result, result):
                if places is not None:
                    places.find()
                drop(result)

    @staticmethod
    def _leave(places: _Places | None) -> None:
        if places is not None:
            places.leave()

    def _await_progress(self, future: Future[Result], progress: Progress) -> None:
        """Return once the driver goes on or has ended."""
        while not _has_ended(future, LOOK) and (idle := progress.idle()) >= STALLED:
            if idle >= self.bounds.stall_timeout and progress.cut():
                self._give_up(future, self._uploads, self.bounds.stall_timeout)

    def _give_up(self, future: Future[Result], places: _Places, seconds: float) -> None:
        """Wait no longer, unless the work has ended at the last moment."""
        if future.cancel():
            places.lose()
            raise self._silent(seconds)

    def _silent(self, seconds: float) -> Overdue:
        return Overdue(self._store, f"it has not answered for {seconds:g} seconds")


class _Lent:
    """A reader of a driver's that is only touched in threads of the store, one read after the other."""

    def __init__(self, reader: Reader, bulkhead: Bulkhead):
        self._reader = reader
        self._bulkhead = bulkhead
        self._turn = threading.Lock()
        self._closed = False

    def read(self, size: int = -1, /) -> bytes:
        return self._bulkhead.read(partial(self._in_turn, self._reader.read, size))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._bulkhead.end_reading(partial(self._in_turn, self._reader.close))

    def _in_turn(self, method: Callable[..., Result], *arguments: object) -> Result:
        """Do one thing at a time: a reader that hangs is closed when it comes back."""
        with self._turn:
            return method(*arguments)


class _Places:
    """So many places; `lost` are those of calls that hang, and for which nobody waits any more."""

    def __init__(self, number: int):
        self.number = number
        self.lost = 0
        self._free = threading.BoundedSemaphore(number)
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a place, after a short wait if need be; return whether there was one."""
        if self._free.acquire(blocking=False):
            return True
        if self.lost >= self.number:
            return False
        if self._free.acquire(timeout=BRIEF):
            return True
        with STAND_IN.get()():
            return self._free.acquire(timeout=QUEUE)

    def leave(self) -> None:
        self._free.release()

    def lose(self) -> None:
        with self._lock:
            self.lost += 1

    def find(self) -> None:
        with self._lock:
            self.lost -= 1


class _Threads:
    """Threads that no exit of the process waits for; one that has nothing to do takes the next work.

    `ThreadPoolExecutor` is no choice here: Python waits for its threads when it ends, and these may hang.
    """

    def __init__(self, name: str):
        self._name = name
        self._idle: deque[queue.SimpleQueue[Callable[[], object] | None]] = deque()
        self._ended = False

    def run(self, work: Callable[[], object]) -> None:
        """Have the work done by an idle thread, or by a new one."""
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name=self._name, daemon=True).start()
        inbox.put(work)

    def end(self) -> None:
        """End the threads that have nothing to do, and the others once they have done their work."""
        self._ended = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().put(None)

    def _serve(self, inbox: queue.SimpleQueue[Callable[[], object] | None]) -> None:
        while (work := self._next(inbox)) is not None:
            try:
                work()
            except BaseException:
                log.exception("%s: what came too late could not be cleared away", self._name)
            del work
            self._idle.append(inbox)
            if self._ended:
                self.end()

    def _next(self, inbox: queue.SimpleQueue[Callable[[], object] | None]) -> Callable[[], object] | None:
        try:
            return inbox.get(timeout=_IDLE)
        except queue.Empty:
            pass
        try:
            self._idle.remove(inbox)
        except ValueError:  # it was given work at this very moment
            return inbox.get()
        return None


def _has_ended(future: Future[Result], seconds: float) -> bool:
    """Wait for so many seconds at most, and return whether the work has ended."""
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def _tell(tell: Callable[[Result], None], outcome: Result) -> bool:
    """Tell the outcome to whoever waits for it; return whether anybody does."""
    try:
        tell(outcome)
    except InvalidStateError:
        return False
    return True
