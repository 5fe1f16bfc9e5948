"""The ledger of a check: keep the database's findings about a store in step with the check's results."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.model.findings import Finding, FindingState
from calotype.transfers.fsck.steps import Problem

_BATCH = 100
_PAGE = 500


class Ledger:
    """The findings of one check. It records problems as findings, and closes those that no longer hold."""

    def __init__(self, database: Database, store: str, *, at_once: bool = False):
        """Read the findings that are open now. With `at_once`, each problem is recorded when it is noted."""
        self._database = database
        self._batch = 1 if at_once else _BATCH
        self._opened = list(open_findings(database, store))
        self._waiting: list[Problem] = []
        self._seen: set[str] = set()

    def note(self, problem: Problem) -> Problem:
        """Queue the problem for the next batch of records, and return it."""
        self._waiting.append(problem)
        self._seen.add(f"{problem.fault}\0{problem.key}")
        if len(self._waiting) >= self._batch:
            self.flush()
        return problem

    def flush(self) -> None:
        """Record the problems that wait for their batch."""
        if self._waiting:
            self._write(self._waiting)
            self._waiting = []

    def settle(self, is_over: Callable[[Finding], bool]) -> None:
        """Close each finding that was open before, was not seen again, and is over."""
        over = [
            finding
            for finding in self._opened
            if f"{finding.kind}\0{finding.subject}" not in self._seen and is_over(finding)
        ]
        for start in range(0, len(over), _BATCH):
            self._close(over[start : start + _BATCH])

    @retry_on_conflict
    def _write(self, problems: list[Problem]) -> None:
        with self._database.unit() as unit:
            for one in problems:
                unit.record_finding(one.fault, one.store, one.key, one.image_id, one.detail)
                if one.repaired:
                    unit.close_findings(one.store, one.fault, one.key, FindingState.REPAIRED)

    @retry_on_conflict
    def _close(self, findings: list[Finding]) -> None:
        with self._database.unit() as unit:
            for finding in findings:
                unit.close_findings(finding.store, finding.kind, finding.subject)


def open_findings(database: Database, store: str) -> Iterator[Finding]:
    """Yield the open findings about a store, read page by page."""
    page = database.findings(FindingState.OPEN, store, _PAGE)
    yield from page.records
    while page.more:
        page = database.findings(FindingState.OPEN, store, _PAGE, page.records[-1])
        yield from page.records
