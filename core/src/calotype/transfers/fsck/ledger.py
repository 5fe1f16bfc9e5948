"""Keep the database's findings about one store in step with what a check sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.model.findings import Finding, FindingState
from calotype.transfers.fsck.steps import Problem

_BATCH = 100


class Ledger:
    """Write a check's problems down as findings, and close the findings that are no longer true."""

    def __init__(self, database: Database, store: str, *, at_once: bool = False):
        """Begin with the findings that are open now; `at_once`: let no problem wait to be written."""
        self._database = database
        self._store = store
        self._room = 1 if at_once else _BATCH
        self._opened = list(self._open_findings())
        self._waiting: list[Problem] = []
        self._seen: set[str] = set()

    def note(self, problem: Problem) -> Problem:
        """Write a problem down, soon; return it."""
        self._waiting.append(problem)
        self._seen.add(f"{problem.fault}\0{problem.key}")
        if len(self._waiting) >= self._room:
            self.flush()
        return problem

    def flush(self) -> None:
        """Write down what still waits."""
        if self._waiting:
            self._write(self._waiting)
            self._waiting = []

    def settle(self, is_over: Callable[[Finding], bool]) -> None:
        """Close each finding that was open before, was not seen again, and is over by this test."""
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

    def _open_findings(self) -> Iterator[Finding]:
        page = self._database.findings(FindingState.OPEN, self._store, limit=500)
        yield from page.findings
        while page.more:
            page = self._database.findings(FindingState.OPEN, self._store, 500, page.findings[-1])
            yield from page.findings
