"""Turns: which of the requests that wait for a worker runs next.

A caller is whoever sends the same token, or where there is none, the same address. Python runs one thread at
a time, so a caller whose requests cost much processor time makes everybody's requests slow. Therefore the
caller who used least of it lately is next, and while several callers come, one who used much has one request
running at a time. As with slots, some workers are kept for callers for whom nothing runs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calotype.serving.channel import Channel

#: Seconds after which half of the processor time that a caller used is forgotten.
_HALF_LIFE = 2.0
#: Seconds of processor time that make a caller a heavy one: a third of a core, all the time.
_HEAVY = 1.0
#: Seconds of processor time that are not worth remembering.
_FORGOTTEN = 0.01
#: Seconds for which a change from one caller to another one shows that several come.
_SEVERAL = 10.0
#: Seconds after which a request of a heavy caller keeps no other one waiting, because it may be a download.
_LONG = 1.0


@dataclass(slots=True)
class _Caller:
    waiting: deque[Channel] = field(default_factory=deque)
    running: list[_Run] = field(default_factory=list)
    #: Seconds of processor time, as they were at the time `counted`.
    _used: float = 0.0
    _counted: float = 0.0

    def used(self, now: float) -> float:
        """Return the seconds of processor time that were used lately."""
        return self._used * 0.5 ** ((now - self._counted) / _HALF_LIFE)

    def use(self, seconds: float, now: float) -> None:
        """Add processor time."""
        self._used, self._counted = self.used(now) + seconds, now

    def is_busy(self, now: float) -> bool:
        """Return whether a request runs, but for those that have run for long."""
        return any(now - run.began < _LONG for run in self.running)


@dataclass(eq=False, slots=True)
class _Run:
    caller: _Caller
    began: float


class Turns:
    """The requests that wait, in place of waitress's queue. All is called under one lock, except `stood_in`.

    Args:
        most: Requests that run at once, for everybody.
    """

    def __init__(self, most: int):
        self._most = most
        #: Requests that were admitted to read their bodies, which have workers of their own.
        self._admitted: deque[Channel] = deque()
        self._callers: dict[Hashable, _Caller] = {}
        #: The callers, of these, who wait.
        self._waiting: dict[Hashable, _Caller] = {}
        #: What runs, by the number of its worker's thread.
        self._running: dict[int, _Run] = {}
        #: Who came last, and when that was another one than before.
        self._latest: Hashable = None
        self._changed = -_SEVERAL

    def __bool__(self) -> bool:
        """Whether there is a request that may run now."""
        return bool(self._admitted) or any(True for _ in self._next(time.monotonic()))

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._admitted) + sum(len(caller.waiting) for caller in self._waiting.values())

    def append(self, task: Channel) -> None:
        """Let a request wait for its turn."""
        if task.requests[0].reads_body:
            self._admitted.append(task)
            return
        who = task.caller
        if who != self._latest:
            self._latest, self._changed = who, time.monotonic()
        self._waiting[who] = caller = self._callers.setdefault(who, _Caller())
        caller.waiting.append(task)

    def popleft(self) -> Channel:
        """Remove and return the request that the calling worker is to run; there must be one that may."""
        if self._admitted:
            return self._admitted.popleft()
        now = time.monotonic()
        who = min(self._next(now), key=lambda one: self._waiting[one].used(now))
        caller = self._waiting.pop(who)
        task = caller.waiting.popleft()
        if caller.waiting:
            self._waiting[who] = caller  # behind the others, of whom some may have used as little
        run = self._running[threading.get_ident()] = _Run(caller, now)
        caller.running.append(run)
        return task

    def end(self, seconds: float) -> None:
        """Note that the calling worker's request has ended, and took so many seconds of processor time."""
        run = self._running.pop(threading.get_ident())
        run.caller.running.remove(run)
        run.caller.use(seconds, time.monotonic())

    @contextmanager
    def stood_in(self, lock: threading.Lock) -> Iterator[None]:
        """Within, the calling worker's request keeps nobody waiting; to be entered without the lock."""
        me = threading.get_ident()
        with lock:
            run = self._running.pop(me, None)
            if run is not None:
                run.caller.running.remove(run)
        try:
            yield
        finally:
            with lock:
                if run is not None:
                    self._running[me] = run
                    run.caller.running.append(run)

    def forget(self) -> None:
        """Forget callers of whom there is nothing to remember."""
        now = time.monotonic()
        for who, caller in list(self._callers.items()):
            if not (caller.waiting or caller.running or caller.used(now) > _FORGOTTEN):
                del self._callers[who]

    def _next(self, now: float) -> Iterator[Hashable]:
        """The callers who wait, longest first, and of whom a request may run."""
        is_full = len(self._running) >= self._most
        several = now - self._changed < _SEVERAL
        for who, caller in self._waiting.items():
            if is_full and caller.running:
                continue
            if several and caller.used(now) > _HEAVY and caller.is_busy(now):
                continue
            yield who
