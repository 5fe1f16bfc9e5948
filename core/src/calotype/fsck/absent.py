"""Look at a store that is not there to be asked: it is off, or no setting names it."""

from __future__ import annotations

from collections.abc import Iterator

from calotype.fsck.ledger import Ledger
from calotype.fsck.steps import Problem, Step
from calotype.registry import Finding, FindingKind, Registry

_BATCH = 500


class AbsentCheck:
    """One run over a store that is not there: each image in it is unreachable."""

    def __init__(self, registry: Registry, name: str, reason: str):
        self.name = name
        self._registry = registry
        self._reason = reason

    def run(self, after: str = "") -> Iterator[Step]:
        """List the images whose bytes lie in the store, from the one behind the key `after`."""
        ledger = Ledger(self._registry, self.name)
        found = False
        while batch := self._registry.stored_locations(self.name, after, _BATCH):
            for stored in batch:
                found, after = True, stored.key
                yield Problem(self.name, FindingKind.UNREACHABLE, stored.key, stored.image_id, self._reason)
        if found:
            # One finding for the store: the registry knows which images it has there.
            yield ledger.note(Problem(self.name, FindingKind.UNREACHABLE, "", detail=self._reason))
        ledger.flush()
        ledger.settle(self._is_over)

    def _is_over(self, finding: Finding) -> bool:
        if finding.kind in (FindingKind.ORPHAN, FindingKind.LEFTOVER):
            return False
        return not self._registry.has_stored(finding.subject)
