"""Look at a store that is not there to be asked: it is off, or no setting names it."""

from __future__ import annotations

from collections.abc import Iterator

from calotype.database.database import Database
from calotype.model.findings import Finding, FindingKind
from calotype.transfers.fsck.ledger import Ledger
from calotype.transfers.fsck.steps import Problem, Step

_BATCH = 500


class AbsentCheck:
    """One run over a store that is not there: each image in it is unreachable."""

    def __init__(self, database: Database, name: str, reason: str):
        self.name = name
        self._database = database
        self._reason = reason

    def run(self, after: str = "") -> Iterator[Step]:
        """List the images whose bytes lie in the store, from the one behind the key `after`."""
        ledger = Ledger(self._database, self.name)
        found = False
        while batch := self._database.stored_locations(self.name, after, _BATCH):
            for stored in batch:
                found, after = True, stored.key
                yield Problem(self.name, FindingKind.UNREACHABLE, stored.key, stored.image_id, self._reason)
        if found:
            # One finding for the store: the database knows which images it has there.
            yield ledger.note(Problem(self.name, FindingKind.UNREACHABLE, "", detail=self._reason))
        ledger.flush()
        ledger.settle(self._is_over)

    def _is_over(self, finding: Finding) -> bool:
        if finding.kind in (FindingKind.ORPHAN, FindingKind.LEFTOVER):
            return False
        return not self._database.has_stored(finding.subject)
