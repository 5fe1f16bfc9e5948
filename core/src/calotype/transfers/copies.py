"""Copies of an image that are damaged or gone: what is written down about them, and who is told.

Two come across such copies. A download can only suspect one: it has a finding recorded, and the
scrubber take the copy next. The scrubber has read it whole, twice, and decides: a copy that it
puts in quarantine is not read any more, but its bytes stay where they are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import retry_on_conflict
from calotype.database.scrubs import Copy
from calotype.database.unit_of_work import Unit
from calotype.model.audit import Actor, Agent, AuditVerb, Origin
from calotype.model.findings import FindingKind, FindingState
from calotype.model.images import Image, Location
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import BlobNotFound, StoreError

log = logging.getLogger(__name__)

#: What can be wrong with a copy.
KINDS = (
    FindingKind.MISSING,
    FindingKind.WRONG_SIZE,
    FindingKind.WRONG_DIGEST,
    FindingKind.UNREADABLE,
)
#: Seconds for which a process writes nothing more about a copy that it has just written about.
_QUIET = 600

_SCRUBBER = Actor(origin=Origin(Agent.SCRUBBER))

#: Told of each bad copy that is come across: the name of its store, and what is wrong.
Observer = Callable[[str, FindingKind], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a copy; `detail` is a part of a sentence that an operator reads."""

    kind: FindingKind
    detail: str


class Copies:
    """The verbs on bad copies, over one database and one catalog; shared by all threads."""

    def __init__(self, database: Database, stores: Catalog):
        self.observe: Observer | None = None
        self._database = database
        self._stores = stores
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def fault(self, store: CheckedStore, error: StoreError) -> Fault:
        """Return what an error of reading a copy says about the copy.

        Raises:
            StoreError: it says nothing about it, because the store is away.
        """
        if not isinstance(error, BlobNotFound):
            return Fault(FindingKind.WRONG_SIZE, error.reason)
        store.require_own()
        return Fault(FindingKind.MISSING, error.reason)

    def suspect(self, image: Image, location: Location, fault: Fault) -> None:
        """Report a copy that a reader found bad, and have the scrubber take it next.

        Both are left out for bytes that belong to somebody else: the scrubber does not read those.
        """
        if self.observe is not None:
            self.observe(location.store, fault.kind)
        if not self._first_time(location.key):
            return
        log.error(
            "image %s: its copy in store '%s' is bad: %s (%s)",
            image.id,
            location.store,
            fault.kind,
            fault.detail,
        )
        try:
            if not location.external:
                self._write_suspicion(image, location, fault)
        except DatabaseError:
            log.exception("image %s: the bad copy could not be written down", image.id)

    @retry_on_conflict
    def _write_suspicion(self, image: Image, location: Location, fault: Fault) -> None:
        with self._database.unit() as unit:
            if unit.scrubs.make_due(location.key):
                unit.record_finding(fault.kind, location.store, location.key, image.id, fault.detail)

    def _first_time(self, key: str) -> bool:
        """Return whether nothing was written about the copy for a while."""
        now = time.monotonic()
        with self._lock:
            self._told = {one: at for one, at in self._told.items() if now - at < _QUIET}
            return self._told.setdefault(key, now) == now

    @retry_on_conflict
    def keep(self, copy: Copy, actor: Actor = _SCRUBBER) -> None:
        """Write down that a copy was read and is right; it leaves the quarantine if it was there."""
        with self._database.unit() as unit:
            if copy.quarantined:
                unit.any_image(copy.image_id)  # the image first, as in all units
            if unit.scrubs.mark_right(copy.key):
                _close(unit, copy, FindingState.CLOSED)
                if copy.quarantined:
                    _clear_reason(unit, copy.image_id)
                    unit.audit(AuditVerb.UNQUARANTINE, copy.image_id, actor, f"store {copy.store}")
        if copy.quarantined:
            log.warning("image %s: its copy in store '%s' is right again", copy.image_id, copy.store)

    @retry_on_conflict
    def quarantine(self, copy: Copy, fault: Fault, actor: Actor = _SCRUBBER) -> bool:
        """Write down that a copy is bad: it is not read any more. Return whether that is news."""
        with self._database.unit() as unit:
            unit.any_image(copy.image_id)  # the image first, as in all units
            if not unit.scrubs.mark_bad(copy.key):
                return False
            for kind in set(KINDS) - {fault.kind}:
                unit.close_findings(copy.store, kind, copy.key)
            unit.record_finding(fault.kind, copy.store, copy.key, copy.image_id, fault.detail)
            reason = f"The copy in store '{copy.store}' is bad and is not served ({fault.kind})."
            unit.scrubs.set_reason(copy.image_id, reason)
            if not copy.quarantined:
                unit.audit(AuditVerb.QUARANTINE, copy.image_id, actor, reason)
        if copy.quarantined:
            return False
        if self.observe is not None:
            self.observe(copy.store, fault.kind)
        log.error(
            "image %s: its copy in store '%s' is put in quarantine: %s (%s)",
            copy.image_id,
            copy.store,
            fault.kind,
            fault.detail,
        )
        return True

    @retry_on_conflict
    def replaced(self, copy: Copy) -> None:
        """Write down that a bad copy was written anew from another one."""
        with self._database.unit() as unit:
            unit.any_image(copy.image_id)  # the image first, as in all units
            _close(unit, copy, FindingState.REPAIRED)
            _clear_reason(unit, copy.image_id)
            unit.audit(AuditVerb.RESTORE, copy.image_id, _SCRUBBER, f"store {copy.store}")
        log.warning("image %s: its copy in store '%s' was restored", copy.image_id, copy.store)

    @retry_on_conflict
    def unreadable(self, copy: Copy, error: StoreError) -> None:
        """Write down that a store is there but cannot read a copy. It stays in use."""
        with self._database.unit() as unit:
            unit.record_finding(FindingKind.UNREADABLE, copy.store, copy.key, copy.image_id, error.reason)
        log.error("image %s: its copy cannot be read: %s", copy.image_id, error)


def _close(unit: Unit, copy: Copy, state: FindingState) -> None:
    for kind in KINDS:
        unit.close_findings(copy.store, kind, copy.key, state)


def _clear_reason(unit: Unit, image_id: str) -> None:
    """Clear `status_reason` if it reports bad copies and none is left."""
    if not any(one.quarantined for one in unit.any_image(image_id).locations):
        unit.scrubs.set_reason(image_id, None)
