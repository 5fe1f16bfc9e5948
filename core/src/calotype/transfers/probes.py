"""Probes: periodic checks that the database and each store answer, for `/readyz` and the metrics.

A check can hang, so no request waits for one. Each probe repeats its check in a thread of its own. `/readyz`
and the metrics report the last result, or that the check has not returned in time.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calotype.config.messages import with_arguments
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError, DatabaseFull
from calotype.stores.catalog import Catalog
from calotype.stores.errors import Busy, StoreError, StoreFull

log = logging.getLogger(__name__)

#: The longest time between two checks of the database, in seconds. It is short, because a load balancer must
#: soon stop using a machine that has lost its database.
_DATABASE_INTERVAL = 2


class ProbeState(enum.StrEnum):
    """The result of a probe. It holds no reason, because reasons name hosts and paths."""

    OK = "ok"
    FULL = "full"  #: it takes no more bytes, but its contents can be read and deleted
    BUSY = "busy"  #: it answers, but all its slots for uploads or downloads are in use
    UNAVAILABLE = "unavailable"  #: it fails, or does not answer in time
    UNKNOWN = "unknown"  #: the first check has not returned yet, and is still in time


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of a check, and when the check returned."""

    state: ProbeState
    at: float


class Probe:
    """The probe of the database or of one store. One thread runs it, and any thread may read the state."""

    #: The ini file with the command line's variables. Commands in log messages contain it.
    arguments: str | None = None

    def __init__(self, name: str, check: Callable[[], None], interval: float, timeout: float):
        """`check` raises the error that a request would get; times are in seconds."""
        self.name = name
        self.interval = interval
        self._check = check
        self._timeout = timeout
        #: When the last check began; the first check's timeout counts from here.
        self._since = time.monotonic()
        self._last: _Result | None = None
        self._logged = ProbeState.OK

    def run(self) -> bool:
        """Check once, however long it takes. Return False, because the next run can wait for the interval."""
        self._since = time.monotonic()
        try:
            self._check()
            state, why = ProbeState.OK, ""
        except (StoreFull, DatabaseFull) as error:
            state, why = ProbeState.FULL, f": {error}"
        except Busy as error:
            state, why = ProbeState.BUSY, f": {error}"
        except (StoreError, DatabaseError) as error:
            state, why = ProbeState.UNAVAILABLE, f": {error}"
        self._last = _Result(state, time.monotonic())
        if state is not self._logged:
            self._logged = state
            log.warning("%s is %s%s", self.name, state, with_arguments(why, self.arguments))
        return False

    @property
    def state(self) -> ProbeState:
        """The current state, as far as it is known."""
        last, now = self._last, time.monotonic()
        if last is not None and now < last.at + self.interval + self._timeout:
            return last.state
        # No check has returned in time. Either the running check hangs, or it is the first one.
        is_new = last is None and now < self._since + self._timeout
        return ProbeState.UNKNOWN if is_new else ProbeState.UNAVAILABLE


class Probes:
    """The probes of a service: of its database, and of each store by its name."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings):
        interval, timeout = settings.probe_interval, settings.probe_timeout
        self.database = Probe("database", database.check, min(interval, _DATABASE_INTERVAL), timeout)
        self.stores = {
            store.name: Probe(f"store '{store.name}'", store.check_here, interval, timeout)
            for store in stores
        }
        for probe in self:
            probe.arguments = settings.arguments

    def __iter__(self) -> Iterator[Probe]:
        """Return the probes; each needs a thread of its own, because a check can hang."""
        return iter((self.database, *self.stores.values()))
