"""Retrying units of work that conflicted with others.

If two units wait for each other, the database rolls one of them back, so it can be retried. The pause before
the retry has a random length, because otherwise the two would conflict again.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from calotype.database.errors import DatabaseFull, DatabaseUnavailable

#: PostgreSQL: serialization failure, deadlock, lock timeout.
_SQLSTATES = ("40001", "40P01", "55P03")
#: MariaDB and MySQL: deadlock, lock timeout.
_NUMBERS = (1213, 1205)
#: The longest pause before each retry, in seconds.
_PAUSES = (0.05, 0.2, 0.8)

_P = ParamSpec("_P")
_R = TypeVar("_R")


class LockConflict(DatabaseUnavailable):
    """The database rolled a unit of work back because another unit held a lock that it needed."""


def is_lock_conflict(error: BaseException) -> bool:
    """Return whether an error from SQLAlchemy reports a lock conflict."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    number = error.orig.args[0] if error.orig.args else None
    return getattr(error.orig, "sqlstate", None) in _SQLSTATES or number in _NUMBERS


def retry_on_conflict(verb: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a verb retry after a lock conflict, or after the reserve of a full disk was given up for it.

    The verb must do nothing besides its unit of work until that unit is committed.
    """

    @functools.wraps(verb)
    def again(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for pause in _PAUSES:
            try:
                return verb(*args, **kwargs)
            except LockConflict:
                time.sleep(random.uniform(0, pause))  # noqa: S311 - not a secret
            except DatabaseFull as error:
                if not error.room_made:
                    raise
        return verb(*args, **kwargs)

    return again
