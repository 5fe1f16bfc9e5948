"""Checks of the parts of a service: the database, clocks, stores, permissions, and what is left over."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.clocks import seconds_ahead
from calotype.database.database import Database
from calotype.identity.exposure import find_exposed
from calotype.identity.token_file import find_missing_tokens
from calotype.model.findings import FindingState
from calotype.model.overviews import Held, PendingKind
from calotype.operations.diagnosis import Diagnosis
from calotype.operations.machine import check_disk
from calotype.operations.processes import serving_processes
from calotype.operations.stores import Fullness
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import WritableStore
from calotype.stores.probe import probe
from calotype.transfers.fsck.absent import find_unreadable
from calotype.transfers.markers import PlaceState
from calotype.transfers.places import Places

#: Seconds after which an answer of the database is slow. Each request waits for a few of them.
_SLOW = 0.1
#: Seconds by which two clocks may differ.
_CLOCKS = 5.0
#: A sweep removes bytes that are due within seconds. After this time, something keeps it from doing so.
_OVERDUE = datetime.timedelta(hours=1)
_MOUNTS = Path("/proc/self/mounts")


def check_database(database: Database, branches: Sequence[migrate.Branch], ini: str) -> Iterator[Diagnosis]:
    """Check that the database answers soon, has this version's schema, and is on a disk that suits it."""
    migrate.require_newest(database.engine, branches, ini)
    database.check()
    begun = time.monotonic()
    database.identity()
    took = time.monotonic() - begun
    url = database.engine.url
    if url.get_backend_name() == "sqlite" and url.database:
        yield from check_disk(Path(url.database), _MOUNTS.read_text())
    state = f"{url.get_backend_name()} answers in {took * 1000:.1f} ms, and is at {branches[0].newest}"
    if took > _SLOW:
        state += ": find out what slows it down, because each request waits for several answers"
    yield Diagnosis("database", took <= _SLOW, state)


def check_clocks(database: Database) -> Iterator[Diagnosis]:
    """Check that the clocks of this machine, of the database server and of other machines agree."""
    now = datetime.datetime.now(datetime.UTC)
    ahead = {
        f"the clock of {one.process.host}": one.process.seen_at - now for one in serving_processes(database)
    }
    seconds = {name: lead.total_seconds() for name, lead in ahead.items() if lead.total_seconds() > 0}
    offset = seconds_ahead(database)
    if offset is not None:
        seconds["the database server's clock"] = offset
    wrong = {name: offset for name, offset in seconds.items() if abs(offset) > _CLOCKS}
    for name, offset in wrong.items():
        how = f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this machine's"
        yield Diagnosis("clock", False, f"{name} is {how}: run chrony or another NTP client on all machines")
    if not wrong:
        yield Diagnosis("clock", True, f"it agrees within {_CLOCKS:g} s with those that can be seen")


def check_store(store: CheckedStore, places: Places | None) -> Iterator[Diagnosis]:
    """Check that a store answers, is this database's, takes and returns bytes, and has room.

    A probe of 100 KB is written and removed, unless the place is not marked as this store's.

    Raises:
        StoreError: it does not answer, or cannot be used.
    """
    subject = f"store '{store.name}'"
    # Look at the place first: `check` would only say that a foreign place may not be used.
    place = places[store.name] if places is not None and store.can(WritableStore) else None
    if place is not None and place.look() is not PlaceState.OWN:
        yield Diagnosis(subject, False, place.remark())
        return
    store.check()
    if place is not None:
        for step in probe(store):
            if step.error is not None:
                sentence = (
                    f"a probe failed ({step.name}): {step.error}: correct the rights of the service there"
                )
                yield Diagnosis(subject, False, sentence)
    room = store.info()
    if Fullness(room, Held()).is_nearly_full:
        sentence = f"only {room.free} of {room.capacity} bytes are free: free some, or add another store"
        yield Diagnosis(subject, False, sentence)
    else:
        yield Diagnosis(subject, True, "it answers")


def check_configured_stores(
    settings: Settings, stores: Catalog, database: Database | None
) -> Iterator[Diagnosis]:
    """Check that each store that has options in the ini file, or images, is on."""
    for name in sorted(stores.off.keys() & settings.store_options.keys()):
        reason = stores.off[name]
        sentence = f"store '{name}' is off ({reason}): correct the ini file, or remove the store from it"
        yield Diagnosis("stores", False, sentence)
    for sentence in find_unreadable(database, stores) if database else ():
        yield Diagnosis("stores", False, f"{sentence}: configure it again, with read_only = true")
    if not stores.entries:
        yield Diagnosis("stores", False, "no store is on: name one in calotype.stores")


def check_permissions(settings: Settings, stores: Catalog) -> Iterator[Diagnosis]:
    """Check that no other user can read secrets or change files, and that there is a valid token."""
    found = [*find_exposed(settings, stores), *find_missing_tokens(settings)]
    yield from (Diagnosis("permissions", False, sentence) for sentence in found)
    if not found:
        yield Diagnosis("permissions", True, "no other user can read secrets or change the service's files")


def check_leftovers(database: Database, ini: str) -> Iterator[Diagnosis]:
    """Check for findings, copies in quarantine, failing webhooks and removals that are overdue."""
    problems = [
        f"webhook '{one.id}' fails ({one.reason}): see `calotype-manage webhooks {ini}`"
        for one in database.attention.failing_webhooks()
    ]
    for store, count in database.scrubs.count_quarantined().items():
        problems.append(
            f"store '{store}' has {count} damaged or missing copies: see `calotype-manage findings {ini}`"
        )
    if database.findings(FindingState.OPEN, limit=1).records:
        problems.append(f"there are open findings: see `calotype-manage findings {ini}`")
    now = datetime.datetime.now(datetime.UTC)
    for kind in (PendingKind.ABANDONED, PendingKind.DELETED):
        first = database.attention.removable_blobs(kind, now - _OVERDUE, 1).records
        if first and first[0].due < now - _OVERDUE:
            problems.append(
                f"bytes in store '{first[0].store}' ({kind}) should have been removed at "
                f"{first[0].due:%F %T}Z: let a process sweep (calotype.sweep_interval), or run "
                f"`calotype-manage sweep {ini}`"
            )
    yield from (Diagnosis("leftovers", False, problem) for problem in problems)
    if not problems:
        yield Diagnosis("leftovers", True, "no findings, and nothing that should have been removed")


def check_processes(database: Database, host: str) -> Iterator[Diagnosis]:
    """Check that the processes of this host that have a heartbeat are alive."""
    found = serving_processes(database)
    dead = [one.process for one in found if not one.is_alive and one.process.host == host]
    for process in dead:
        sentence = (
            f"process {process.pid} is silent since {process.seen_at:%F %T}Z, so it was killed or hangs: "
            "read the logs of the service and of the kernel from that time"
        )
        yield Diagnosis("processes", False, sentence)
    if not dead:
        alive = sum(one.is_alive for one in found)
        yield Diagnosis("processes", True, f"{alive} alive on all machines")
