"""Probes: what was last seen of the database and of each store, for those who ask whether all is well.

A look can hang, so nobody who asks waits for one. A thread for each part looks again and again, and `/readyz`
and the metrics tell what it saw, or that it has not come back in time.
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
from calotype.stores.errors import StoreError, StoreFull

log = logging.getLogger(__name__)

#: Seconds between two looks at the database at most: a machine that has lost it must be left out soon.
_DATABASE_INTERVAL = 2


class ProbeState(enum.StrEnum):
    """What a watcher may know: no reason, for reasons name hosts and paths."""

    OK = "ok"
    FULL = "full"  #: it takes no bytes; what it has can be read and deleted
    UNAVAILABLE = "unavailable"  #: it fails, or does not answer in time
    UNKNOWN = "unknown"  #: it was not seen yet, and the time for that is not over


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look saw, and when it ended."""

    state: ProbeState
    at: float


class Probe:
    """Looks at one part, in one thread; any thread may ask for the state."""

    #: The ini file and variables of the command line, for commands in the log.
    arguments: str | None = None

    def __init__(self, name: str, check: Callable[[], None], interval: float, timeout: float):
        """`check` returns, or raises what a request would get; times are in seconds."""
        self.name = name
        self.interval = interval
        self._check = check
        self._timeout = timeout
        #: When the last look began: until one has ended, the time for it is counted from there.
        self._since = time.monotonic()
        self._seen: _Seen | None = None
        self._logged = ProbeState.OK

    def run(self) -> bool:
        """Look once, for however long it takes; False, as there is nothing more to do at once."""
        self._since = time.monotonic()
        try:
            self._check()
            state, why = ProbeState.OK, ""
        except (StoreFull, DatabaseFull) as error:
            state, why = ProbeState.FULL, f": {error}"
        except (StoreError, DatabaseError) as error:
            state, why = ProbeState.UNAVAILABLE, f": {error}"
        self._seen = _Seen(state, time.monotonic())
        if state is not self._logged:
            self._logged = state
            log.warning("%s is %s%s", self.name, state, with_arguments(why, self.arguments))
        return False

    @property
    def state(self) -> ProbeState:
        """The state as far as it is known now."""
        seen, now = self._seen, time.monotonic()
        if seen is not None and now < seen.at + self.interval + self._timeout:
            return seen.state
        # No look has ended for so long: the one that runs hangs, or the first one has not ended yet.
        is_new = seen is None and now < self._since + self._timeout
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
        """Each probe; it needs a thread of its own, so that one that hangs stops no other."""
        return iter((self.database, *self.stores.values()))
