"""Slots: how many requests of a kind may read their bodies at once, and which request is next.

A single caller may have all slots except the reserved ones. If several callers wait, the next free slot goes
to the caller who has the fewest. Some slots are reserved for callers who have none, so that one caller with
many slow uploads cannot keep out the others.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calotype_server.callers import Caller, Waiting

if TYPE_CHECKING:
    from calotype_server.channel import Channel


@dataclass
class Slots:
    """The slots of one kind, held by Workers. All methods must be called under the lock of Workers.

    Args:
        most: Number of slots for all callers.
        kept: Number of additional slots, reserved for callers who have none.
    """

    most: int
    kept: int
    #: The number of taken slots, in all and by each caller.
    taken: int = 0
    _taken: Counter[Caller] = field(default_factory=Counter)
    #: The waiting requests by caller. The caller who has waited longest comes first.
    _waiting: dict[Caller, deque[Waiting]] = field(default_factory=dict)

    def admit(self, caller: Caller, task: Channel) -> bool:
        """Take a slot for the task and return True, or queue the task and return False."""
        if self._has_room(caller):
            self.take(caller)
            return True
        self._waiting.setdefault(caller, deque()).append(Waiting(task, time.monotonic()))
        return False

    def take(self, caller: Caller) -> None:
        """Take a slot even if none is free."""
        self.taken += 1
        self._taken[caller] += 1

    def leave(self, caller: Caller) -> Channel | None:
        """Give a slot back, and return the task that gets it, or None."""
        self.taken -= 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
        waiting = [one for one in self._waiting if self._has_room(one)]
        if not waiting:
            return None
        chosen = min(waiting, key=self._taken.__getitem__)  # the first of equals, which has waited longest
        self.take(chosen)
        return self._next(chosen)

    def overdue(self, seconds: float) -> list[Channel]:
        """Remove and return the tasks that have waited longer than `seconds`."""
        late, tasks = time.monotonic() - seconds, []
        for caller in list(self._waiting):
            while caller in self._waiting and self._waiting[caller][0].since <= late:
                tasks.append(self._next(caller))
        return tasks

    def _has_room(self, caller: Caller) -> bool:
        return self.taken < self.most or (self.taken < self.most + self.kept and caller not in self._taken)

    def _next(self, caller: Caller) -> Channel:
        """Remove and return a caller's first task. The caller's other tasks go to the end of the queue."""
        queue = self._waiting.pop(caller)
        first = queue.popleft()
        if queue:
            self._waiting[caller] = queue
        return first.task
