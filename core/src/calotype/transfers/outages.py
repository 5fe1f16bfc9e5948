"""Outages that a job waits out: which failures pass by themselves, and when the job is tried again.

The time that a job has waited is the sum of its pauses, as they were planned. No two clocks are compared for
it, so a clock that is wrong neither ends the patience with an outage nor prolongs it.
"""

from __future__ import annotations

import random

from calotype.stores.errors import SourceBroken, Unavailable

#: Seconds of the first pause, about; each one is twice as long as the one before it.
_FIRST = 1.0
#: Seconds of a pause at most, but for what is added by chance.
_MOST = 60.0
#: The share of a pause that chance may add: jobs that failed together should not all come back together.
_SCATTER = 0.25
#: Seconds of a pause at most. A job that is to wait longer was written down by a clock that is wrong.
LONGEST = _MOST * (1 + _SCATTER)
#: Seconds of waiting for a source outside, at most: it is not ours, and may be gone for good.
SOURCE_PATIENCE = 60.0


def outage(error: BaseException) -> Unavailable | None:
    """Return the error of the store that is away, target or source, if that is why a job failed."""
    if isinstance(error, Unavailable):
        return error
    # The target's driver sees a source that breaks off, which may be another store of ours.
    if isinstance(error, SourceBroken) and isinstance(error.__cause__, Unavailable):
        return error.__cause__
    return None


def pause(waited: float) -> float:
    """Return after how many seconds a job is tried again that has waited for so many."""
    return min(_MOST, waited + _FIRST) * random.uniform(1, 1 + _SCATTER)  # noqa: S311 - it protects nothing
