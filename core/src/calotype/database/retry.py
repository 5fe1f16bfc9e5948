"""Units of work that got into each other's way, and doing them again.

Of two units that wait for each other a database undoes one. Nothing of it remains, so
it can be done again, after a pause of random length: the two would meet again otherwise.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from calotype.database.errors import DatabaseFull, DatabaseUnavailable

#: PostgreSQL: serialization failure, deadlock, and a lock that was waited for as long as is allowed.
_SQLSTATES = ("40001", "40P01", "55P03")
#: MariaDB and MySQL: deadlock, and a lock that was waited for as long as is allowed.
_NUMBERS = (1213, 1205)
#: Seconds, at most, before each new try.
_PAUSES = (0.05, 0.2, 0.8)

_P = ParamSpec("_P")
_R = TypeVar("_R")


class LockConflict(DatabaseUnavailable):
    """The database undid a unit of work because another one held what it needed."""


def is_lock_conflict(error: BaseException) -> bool:
    """Whether an error of SQLAlchemy's says so."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    number = error.orig.args[0] if error.orig.args else None
    return getattr(error.orig, "sqlstate", None) in _SQLSTATES or number in _NUMBERS


def retry_on_conflict(verb: Callable[_P, _R]) -> Callable[_P, _R]:
    """Do a verb again when its unit of work was locked out, or when room was made for it on a full disk.

    The verb must have done nothing else until then.
    """

    @functools.wraps(verb)
    def again(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for pause in _PAUSES:
            try:
                return verb(*args, **kwargs)
            except LockConflict:
                time.sleep(random.uniform(0, pause))  # noqa: S311 - it protects nothing
            except DatabaseFull as error:
                if not error.room_made:
                    raise
        return verb(*args, **kwargs)

    return again
