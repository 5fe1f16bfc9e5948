"""Turns: the choice of which waiting request runs next.

Python runs one thread at a time, so a caller whose requests need much processor time slows all others down.
Therefore the next turn goes to the caller who has used the least processor time lately. A caller who has
waited for too long goes first. While other known callers send requests, a heavy caller has few requests
running at a time. As with slots, some workers are reserved for callers who have no request running.
Requests that continue after a pause count as requests of one caller.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calotype_server.callers import RESUMED, Caller, Waiting

if TYPE_CHECKING:
    from calotype_server.channel import Channel

#: The half-life of a caller's used processor time, in seconds.
_HALF_LIFE = 2.0
#: Seconds of used processor time above which a caller is heavy: it uses about a third of a core all the time.
_HEAVY = 1.0
#: Maximum concurrent requests of a heavy caller while other callers send requests.
_FEW = 2
#: Maximum concurrent requests that continue after a pause.
_RESUMED = 2
#: Seconds of used processor time below which a caller is forgotten.
_FORGOTTEN = 0.01
#: Seconds after a request for which its caller counts as active.
_RECENT = 2.0
#: Seconds after which a heavy caller's running request no longer counts, because it may be a download.
_LONG = 1.0
#: Seconds without a turn after which a waiting caller is next, even if others have used less processor time.
_PATIENCE = 1.0


@dataclass(slots=True)
class _Account:
    """The waiting and running requests of one caller, and the processor time that they used."""

    waiting: deque[Waiting] = field(default_factory=deque)
    running: list[_Run] = field(default_factory=list)
    #: The time.monotonic() at which a request of the caller last got its turn.
    served: float = 0.0
    #: Seconds of used processor time, decayed as of the time `_counted`.
    _used: float = 0.0
    _counted: float = 0.0

    def used(self, now: float) -> float:
        """Return the processor time that the caller used lately, in seconds."""
        return self._used * math.pow(0.5, (now - self._counted) / _HALF_LIFE)

    def use(self, seconds: float, now: float) -> None:
        """Add processor time."""
        self._used, self._counted = self.used(now) + seconds, now

    def waits_since(self) -> float:
        """Return the time.monotonic() at which the wait began, or of the last turn if that was later."""
        return max(self.waiting[0].since, self.served)

    def is_busy(self, now: float) -> bool:
        """Return whether the caller has as many recent requests running as a heavy caller may have."""
        return sum(now - run.began < _LONG for run in self.running) >= _FEW

    @property
    def runs_plain(self) -> bool:
        """True if a request without a slot is running."""
        return any(run.is_plain for run in self.running)


@dataclass(eq=False, slots=True)
class _Run:
    """A running request. Its account and Turns hold it."""

    account: _Account
    began: float
    #: True if the request has no slot, and so needs one of the general workers.
    is_plain: bool


@dataclass(frozen=True, slots=True)
class _Arrival:
    """The arrival of a known caller's request."""

    caller: Caller | None = None
    at: float = float("-inf")


class Turns:
    """The waiting requests. Workers has them in place of waitress's queue.

    All methods except `released` must be called under the lock of Workers.

    Args:
        most: Maximum concurrent requests without a slot.
        kept: Additional concurrent requests for callers who have none running.
    """

    def __init__(self, most: int, kept: int):
        self._most = most
        self._kept = kept
        #: Uploads that hold slots, and so have workers of their own.
        self._uploads: deque[Channel] = deque()
        self._accounts: dict[Caller, _Account] = {}
        #: The accounts of callers who have waiting requests.
        self._waiting: dict[Caller, _Account] = {}
        #: The running requests, by the identifier of the worker's thread.
        self._running: dict[int, _Run] = {}
        #: `_latest` is the latest request of a known caller. `_before` is the latest one of any other known
        #: caller.
        self._latest = self._before = _Arrival()

    def __bool__(self) -> bool:
        """Return whether a request may run now."""
        return bool(self._uploads) or any(True for _ in self._next(time.monotonic()))

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._uploads) + sum(len(account.waiting) for account in self._waiting.values())

    def append(self, task: Channel) -> None:
        """Add a request that waits for its turn."""
        caller, now = task.caller, time.monotonic()
        if caller.known:
            if caller != self._latest.caller:
                self._before = self._latest
            self._latest = _Arrival(caller, now)
        if task.requests[0].is_upload:
            self._uploads.append(task)
            return
        self._waiting[caller] = account = self._account(caller)
        account.waiting.append(Waiting(task, now))

    def popleft(self) -> Channel:
        """Remove and return the request that the calling worker must run. Only call this if one may run."""
        now = time.monotonic()
        if self._uploads:
            task = self._uploads.popleft()
            account = self._account(task.caller)
        else:
            caller = self._choose(now)
            account = self._waiting.pop(caller)
            task = account.waiting.popleft().task
            account.served = now
            if account.waiting:
                # Move the caller to the end, because the first of several equal callers is chosen.
                self._waiting[caller] = account
        run = self._running[threading.get_ident()] = _Run(account, now, not task.requests[0].reads_body)
        account.running.append(run)
        return task

    def end(self, seconds: float) -> None:
        """End the calling worker's request, which used `seconds` of processor time."""
        run = self._running.pop(threading.get_ident())
        run.account.running.remove(run)
        run.account.use(seconds, time.monotonic())

    @contextmanager
    def released(self, lock: threading.Lock) -> Iterator[None]:
        """Exempt the calling worker's request from all limits within the block. Enter it without the lock."""
        me = threading.get_ident()
        with lock:
            run = self._running.pop(me, None)
            if run is not None:
                run.account.running.remove(run)
        try:
            yield
        finally:
            with lock:
                if run is not None:
                    self._running[me] = run
                    run.account.running.append(run)

    def forget(self) -> None:
        """Forget callers who have no requests and used no processor time lately."""
        now = time.monotonic()
        for caller, account in list(self._accounts.items()):
            if not (account.waiting or account.running or account.used(now) > _FORGOTTEN):
                del self._accounts[caller]

    def _account(self, caller: Caller) -> _Account:
        return self._accounts.setdefault(caller, _Account())

    def _choose(self, now: float) -> Caller:
        """Return the caller who has waited for too long, or else the caller with the least processor time."""
        callers = list(self._next(now))
        first = min(callers, key=lambda caller: self._waiting[caller].waits_since())
        if now - self._waiting[first].waits_since() > _PATIENCE:
            return first
        return min(callers, key=lambda caller: self._waiting[caller].used(now))

    def _next(self, now: float) -> Iterator[Caller]:
        """Yield the callers who have a request that may run; the one who has waited longest comes first."""
        plain = sum(run.is_plain for run in self._running.values())
        for caller, account in self._waiting.items():
            if not account.waiting[0].task.requests[0].reads_body and (
                plain >= self._most + self._kept or (plain >= self._most and account.runs_plain)
            ):
                continue
            if caller is RESUMED and len(account.running) >= _RESUMED:
                continue
            if account.used(now) > _HEAVY and account.is_busy(now) and self._others_come(caller, now):
                continue
            yield caller

    def _others_come(self, caller: Caller, now: float) -> bool:
        other = self._before if self._latest.caller == caller else self._latest
        return now - other.at < _RECENT
