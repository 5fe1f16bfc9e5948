"""Bad copies: record that a copy of an image is damaged or missing, and report it.

If a download finds a copy to be bad, the copy is only suspect: the download records a finding, and the
scrubber checks the copy next. The scrubber reads a copy twice before it decides. Downloads do not read a copy
in quarantine, but its bytes stay in the store.
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
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import BlobNotFound, StoreError

log = logging.getLogger(__name__)

#: The kinds of findings about a copy.
KINDS = (
    FindingKind.MISSING,
    FindingKind.WRONG_SIZE,
    FindingKind.WRONG_DIGEST,
    FindingKind.UNREADABLE,
)
#: Seconds until a process reports the same bad copy again.
_QUIET = 600

_SCRUBBER = Actor(origin=Origin(Agent.SCRUBBER))

#: Called for each bad copy that is found, with the name of its store and the kind of fault.
Observer = Callable[[str, FindingKind], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a copy. `detail` describes it for operators, as part of a sentence."""

    kind: FindingKind
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})"


def fault_from(store: CheckedStore, error: StoreError) -> Fault:
    """Return the fault that an error during a read reveals about the copy.

    Raises:
        StoreError: the store is unavailable, so the error says nothing about the copy.
    """
    if not isinstance(error, BlobNotFound):
        return Fault(FindingKind.WRONG_SIZE, error.reason)
    store.require_own()
    return Fault(FindingKind.MISSING, error.reason)


class Copies:
    """The records of bad copies in one database. All threads share an instance."""

    def __init__(self, database: Database):
        self.observe: Observer = lambda store, kind: None
        self._database = database
        self._reported: dict[str, float] = {}
        self._lock = threading.Lock()

    def suspect(self, image: Image, location: Location, fault: Fault) -> None:
        """Report a copy that a reader found bad, and have the scrubber check it next.

        A bad external location is only logged, because the scrubber never reads external locations.
        """
        self.observe(location.store, fault.kind)
        if not self._is_news(location.key):
            return
        log.error("image %s: its copy in store '%s' is bad: %s", image.id, location.store, fault)
        try:
            if not location.external:
                self._record_suspicion(image, location, fault)
        except DatabaseError:
            log.exception("image %s: the bad copy could not be recorded", image.id)

    @retry_on_conflict
    def _record_suspicion(self, image: Image, location: Location, fault: Fault) -> None:
        with self._database.unit() as unit:
            if unit.scrubs.make_due(location.key):
                unit.record_finding(fault.kind, location.store, location.key, image.id, fault.detail)

    def _is_news(self, key: str) -> bool:
        """Return True unless this process has reported the copy within the last `_QUIET` seconds."""
        now = time.monotonic()
        with self._lock:
            self._reported = {one: at for one, at in self._reported.items() if now - at < _QUIET}
            return self._reported.setdefault(key, now) == now

    @retry_on_conflict
    def keep(self, copy: Copy, actor: Actor = _SCRUBBER) -> None:
        """Record that a copy was read and is good. If it was in quarantine, release it."""
        with self._database.unit() as unit:
            if copy.quarantined:
                unit.any_image(copy.image_id)  # lock the image first, as in all units
            if unit.scrubs.mark_right(copy.key):
                _close_findings(unit, copy, FindingState.CLOSED)
                if copy.quarantined:
                    _clear_reason(unit, copy.image_id)
                    unit.audit(AuditVerb.UNQUARANTINE, copy.image_id, actor, f"store {copy.store}")
        if copy.quarantined:
            log.warning("image %s: its copy in store '%s' is good again", copy.image_id, copy.store)

    @retry_on_conflict
    def quarantine(self, copy: Copy, fault: Fault, actor: Actor = _SCRUBBER) -> bool:
        """Put a bad copy in quarantine, and return whether this call did so."""
        with self._database.unit() as unit:
            unit.any_image(copy.image_id)  # lock the image first, as in all units
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
        self.observe(copy.store, fault.kind)
        log.error(
            "image %s: its copy in store '%s' is put in quarantine: %s", copy.image_id, copy.store, fault
        )
        return True

    @retry_on_conflict
    def replaced(self, copy: Copy) -> None:
        """Record that a bad copy was replaced with a new copy of a good one."""
        with self._database.unit() as unit:
            unit.any_image(copy.image_id)  # lock the image first, as in all units
            _close_findings(unit, copy, FindingState.REPAIRED)
            _clear_reason(unit, copy.image_id)
            unit.audit(AuditVerb.RESTORE, copy.image_id, _SCRUBBER, f"store {copy.store}")
        log.warning("image %s: its copy in store '%s' was restored", copy.image_id, copy.store)

    @retry_on_conflict
    def unreadable(self, copy: Copy, error: StoreError) -> None:
        """Record that a store is available but cannot read a copy. The copy stays in use."""
        with self._database.unit() as unit:
            unit.record_finding(FindingKind.UNREADABLE, copy.store, copy.key, copy.image_id, error.reason)
        log.error("image %s: its copy cannot be read: %s", copy.image_id, error)


def _close_findings(unit: Unit, copy: Copy, state: FindingState) -> None:
    for kind in KINDS:
        unit.close_findings(copy.store, kind, copy.key, state)


def _clear_reason(unit: Unit, image_id: str) -> None:
    """Clear `status_reason` if no copy of the image is in quarantine."""
    if not any(one.quarantined for one in unit.any_image(image_id).locations):
        unit.scrubs.set_reason(image_id, None)
