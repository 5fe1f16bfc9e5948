"""Lists that several tables contribute to: pages, positions, and what each list leaves out."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from calotype.database.keysets import Page
from calotype.database.tables import AuditRow, FindingRow, LocationRow, SessionRow
from calotype.model.audit import Agent, Outcome
from calotype.model.findings import FindingKind, FindingState
from calotype.model.images import LocationState
from calotype.model.overviews import FailureKind, Position
from calotype.model.sessions import SessionStatus
from calotype.operations.failures import failures
from calotype.operations.pending import count_pending, pending_removals
from calotype.operations.transfers import running_transfers
from tests.support.workbench import Bench, make_bench, make_settings

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
#: Few seconds, so that many records have the same time.
SECONDS = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), max_size=14)


def at(second: int) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=second)


def rows(bench: Bench, table: Any, *values: dict[str, Any]) -> None:
    with bench.database.unit() as unit:
        for value in values:
            unit.connection.execute(insert(table.__table__), value)


def change(second: int, outcome: Outcome = Outcome.FAILED) -> dict[str, Any]:
    return {
        "created_at": at(second),
        "verb": "upload",
        "outcome": outcome,
        "agent": Agent.API,
        "detail": "why",
    }


def finding(second: int, state: FindingState = FindingState.OPEN) -> dict[str, Any]:
    found = {
        "id": str(uuid.uuid4()),
        "kind": FindingKind.MISSING,
        "store": "s",
        "subject": "k",
        "detail": "d",
    }
    return {**found, "state": state, "found_at": at(second), "seen_at": at(second)}


def location(second: int, image_id: str, state: LocationState) -> dict[str, Any]:
    row = {
        "key": f"{image_id}.{uuid.uuid4().hex[:12]}",
        "image_id": image_id,
        "store": "s",
        "external": False,
    }
    return {**row, "state": state, "counted": 0, "lease_until": at(second), "created_at": at(second)}


def session(second: int, status: SessionStatus = SessionStatus.OPEN) -> dict[str, Any]:
    row = {"id": str(uuid.uuid4()), "store": "s", "status": status, "offset": 0, "counted": 0, "note": ""}
    times = {"created_at": at(second), "expires_at": at(second)}
    return {**row, "contiguous": row.pop("offset"), "demands": {}, **times}


def walk(page: Callable[[int, Position | None], Page[Any]], limit: int) -> list[Any]:
    """Return the records of all pages. Each position goes through its text, as in a link."""
    seen, after = [], None
    while True:
        found = page(limit, after)
        seen += found.records
        if not found.more:
            return seen
        assert len(found.records) == limit
        after = Position.parse(str(found.records[-1].position))


@given(SECONDS, st.integers(1, 5))
def test_pages_of_failures_have_each_failure_once_newest_first(
    template: Any, made: list[tuple[int, int]], limit: int
) -> None:
    with make_bench(template) as bench:
        rows(bench, AuditRow, *(change(second) for kind, second in made if kind), change(0, Outcome.DONE))
        rows(bench, FindingRow, *(finding(second) for kind, second in made if not kind))
        rows(bench, FindingRow, finding(0, FindingState.CLOSED))
        found = walk(lambda most, after: failures(bench.database, most, after), limit)
    assert [one.at for one in found] == sorted((at(second) for _, second in made), reverse=True)
    assert len({(one.kind, one.id) for one in found}) == len(made)


@given(SECONDS, st.integers(1, 5))
def test_pages_of_removals_and_transfers_have_each_record_once_oldest_first(
    template: Any, made: list[tuple[int, int]], limit: int
) -> None:
    doomed, settings = LocationState.PENDING_DELETE, make_settings()
    with make_bench(template) as bench:
        image_id = bench.reserve().id
        rows(bench, LocationRow, *(location(second, image_id, doomed) for kind, second in made if kind))
        rows(bench, SessionRow, *(session(second) for kind, second in made if not kind))
        rows(bench, SessionRow, session(0, SessionStatus.EXPIRED))
        removals = walk(lambda most, after: pending_removals(bench.database, most, after), limit)
        moving = walk(lambda most, after: running_transfers(bench.database, settings, most, after), limit)
        total = sum(count_pending(bench.database).values())
    assert [one.due for one in removals] == sorted(at(second) for _, second in made)
    assert len({one.id for one in removals}) == len(made) == total
    assert [one.began_at for one in moving] == sorted(at(second) for kind, second in made if not kind)


def test_an_upload_is_pending_once_its_lease_has_expired(bench: Bench) -> None:
    image_id = bench.reserve().id
    running, abandoned = (location(second, image_id, LocationState.INTENDED) for second in (3600, -3600))
    rows(bench, LocationRow, running, abandoned)
    assert [one.id for one in pending_removals(bench.database, 9).records] == [abandoned["key"]]
    assert {one.id for one in running_transfers(bench.database, bench.settings, 9).records} == {
        running["key"],
        abandoned["key"],
    }


@pytest.mark.parametrize("text", ["", "~~", "x~change~1", "2026-01-01T00:00:00.000000Z~change"])
def test_a_text_that_is_no_position_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        Position.parse(text)


def test_a_position_of_another_list_is_an_error(bench: Bench) -> None:
    with pytest.raises(ValueError):
        failures(bench.database, 1, Position(NOW, FailureKind.CHANGE, "x"))
