"""Outages: which errors a job waits out, and when the job is retried.

A job's waiting time is the sum of its planned pauses. No clock is read to compute it, so a wrong clock
neither cuts the wait short nor prolongs it.
"""

from __future__ import annotations

import random

from calotype.stores.errors import SourceBroken, Unavailable

#: Seconds of the first pause, approximately; each pause is twice as long as the one before it.
_FIRST = 1.0
#: The longest pause in seconds, without the random share.
_MOST = 60.0
#: The random share added to a pause, so that jobs that failed together are not all retried together.
_SCATTER = 0.25
#: The longest pause in seconds, random share included. If a job's next try is later, some clock is wrong.
LONGEST = _MOST * (1 + _SCATTER)
#: The longest wait for an external source, in seconds. We do not run it, so it may never come back.
SOURCE_PATIENCE = 60.0


def outage(error: BaseException) -> Unavailable | None:
    """Return the error of the unavailable store that caused `error`, or None if there is no such store."""
    if isinstance(error, Unavailable):
        return error
    # If the source is an unavailable store, the target reports a broken source, with the outage as its cause.
    if isinstance(error, SourceBroken) and isinstance(error.__cause__, Unavailable):
        return error.__cause__
    return None


def pause(waited: float) -> float:
    """Return the seconds until the next try of a job that has waited for `waited` seconds."""
    return min(_MOST, waited + _FIRST) * random.uniform(1, 1 + _SCATTER)  # noqa: S311 - not for security
