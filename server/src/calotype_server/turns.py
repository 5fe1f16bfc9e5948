"""Turns: which of the requests that wait for a worker runs next.

Python runs one thread at a time, so a caller whose requests cost much processor time makes everybody's
requests slow. Therefore the caller who used least of it lately is next, but nobody waits for long while
others are served. While other known callers come, one who used much has few requests running at a time. As
with slots, some workers are kept for callers for whom nothing runs.
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

from calotype_server.callers import Caller

if TYPE_CHECKING:
    from calotype_server.channel import Channel

#: Seconds after which half of the processor time that a caller used is forgotten.
_HALF_LIFE = 2.0
#: Seconds of processor time that make a caller a heavy one: a third of a core, all the time.
_HEAVY = 1.0
#: Requests of a heavy caller that run at once while others come.
_FEW = 2
#: Seconds of processor time that are not worth remembering.
_FORGOTTEN = 0.01
#: Seconds for which somebody who came counts as coming.
_RECENT = 2.0
#: Seconds after which a request of a heavy caller keeps no other one waiting, because it may be a download.
_LONG = 1.0
#: Seconds after which a caller for whom nothing was done is next, whatever others have used.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    task: Channel
    since: float


@dataclass(slots=True)
class _Account:
    """What one caller waits for, runs and has used."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    running: list[_Run] = field(default_factory=list)
    #: When the last request of the caller got its turn.
    served: float = 0.0
    #: Seconds of processor time, as they were at the time `counted`.
    _used: float = 0.0
    _counted: float = 0.0

    def used(self, now: float) -> float:
        """Return the seconds of processor time that were used lately."""
        return self._used * math.pow(0.5, (now - self._counted) / _HALF_LIFE)

    def use(self, seconds: float, now: float) -> None:
        """Add processor time."""
        self._used, self._counted = self.used(now) + seconds, now

    def waits_since(self) -> float:
        """Return since when nothing was done for a caller who waits."""
        return max(self.waiting[0].since, self.served)

    def is_busy(self, now: float) -> bool:
        """Return whether a few requests run, but for those that have run for long."""
        return sum(now - run.began < _LONG for run in self.running) >= _FEW

    @property
    def runs_plain(self) -> bool:
        """Whether a request runs that has no slot."""
        return any(run.is_plain for run in self.running)


@dataclass(eq=False, slots=True)
class _Run:
    account: _Account
    began: float
    #: Whether it has no slot, and so needs one of the workers for all.
    is_plain: bool


@dataclass(frozen=True, slots=True)
class _Arrival:
    caller: Caller | None = None
    at: float = float("-inf")


class Turns:
    """The requests that wait, in place of waitress's queue. All is called under one lock, except `released`.

    Args:
        most: Requests without a slot that run at once, for everybody.
        kept: As many more, for callers for whom none runs.
    """

    def __init__(self, most: int, kept: int):
        self._most = most
        self._kept = kept
        #: Uploads that were admitted to read their bodies, which have workers of their own.
        self._uploads: deque[Channel] = deque()
        self._accounts: dict[Caller, _Account] = {}
        #: Those, of the accounts, of callers who wait.
        self._waiting: dict[Caller, _Account] = {}
        #: What runs, by the number of its worker's thread.
        self._running: dict[int, _Run] = {}
        #: Who of the known callers came last, and another one who came before.
        self._latest = self._before = _Arrival()

    def __bool__(self) -> bool:
        """Whether there is a request that may run now."""
        return bool(self._uploads) or any(True for _ in self._next(time.monotonic()))

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._uploads) + sum(len(account.waiting) for account in self._waiting.values())

    def append(self, task: Channel) -> None:
        """Let a request wait for its turn."""
        caller, now = task.caller, time.monotonic()
        if caller.known:
            if caller != self._latest.caller:
                self._before = self._latest
            self._latest = _Arrival(caller, now)
        if task.requests[0].is_upload:
            self._uploads.append(task)
            return
        self._waiting[caller] = account = self._account(caller)
        account.waiting.append(_Waiting(task, now))

    def popleft(self) -> Channel:
        """Remove and return the request that the calling worker is to run; there must be one that may."""
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
                self._waiting[caller] = account  # behind the others, of whom some may have used as little
        run = self._running[threading.get_ident()] = _Run(account, now, not task.requests[0].reads_body)
        account.running.append(run)
        return task

    def end(self, seconds: float) -> None:
        """Note that the calling worker's request has ended, and took so many seconds of processor time."""
        run = self._running.pop(threading.get_ident())
        run.account.running.remove(run)
        run.account.use(seconds, time.monotonic())

    @contextmanager
    def released(self, lock: threading.Lock) -> Iterator[None]:
        """Within, the calling worker's request keeps nobody waiting; to be entered without the lock."""
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
        """Forget callers of whom there is nothing to remember."""
        now = time.monotonic()
        for caller, account in list(self._accounts.items()):
            if not (account.waiting or account.running or account.used(now) > _FORGOTTEN):
                del self._accounts[caller]

    def _account(self, caller: Caller) -> _Account:
        return self._accounts.setdefault(caller, _Account())

    def _choose(self, now: float) -> Caller:
        """Return who is next: whoever waited for too long, or else who used least."""
        callers = list(self._next(now))
        first = min(callers, key=lambda caller: self._waiting[caller].waits_since())
        if now - self._waiting[first].waits_since() > _PATIENCE:
            return first
        return min(callers, key=lambda caller: self._waiting[caller].used(now))

    def _next(self, now: float) -> Iterator[Caller]:
        """The callers who wait, longest first, and of whom a request may run."""
        plain = sum(run.is_plain for run in self._running.values())
        for caller, account in self._waiting.items():
            if not account.waiting[0].task.requests[0].reads_body and (
                plain >= self._most + self._kept or (plain >= self._most and account.runs_plain)
            ):
                continue
            if account.used(now) > _HEAVY and account.is_busy(now) and self._others_come(caller, now):
                continue
            yield caller

    def _others_come(self, caller: Caller, now: float) -> bool:
        other = self._before if self._latest.caller == caller else self._latest
        return now - other.at < _RECENT
