"""Findings in the database: each thing that is wrong has one row, which is opened, renewed and ended."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.database.tables import FindingRow
from calotype.model.findings import Finding, FindingCount, FindingKind, FindingState
from tests.support.workbench import Bench, make_bench

KINDS = st.sampled_from(FindingKind)
THINGS = st.lists(st.tuples(KINDS, st.sampled_from("ab"), st.sampled_from("xyz")), max_size=12, unique=True)


@retry_on_conflict
def record(database: Database, kind: FindingKind, store: str = "s", subject: str = "key") -> None:
    with database.unit() as unit:
        unit.record_finding(kind, store, subject, "an image", f"{subject} is wrong")


def close(
    bench: Bench, kind: FindingKind, subject: str = "key", state: FindingState = FindingState.CLOSED
) -> bool:
    with bench.database.unit() as unit:
        return unit.close_findings("s", kind, subject, state)


def walk(bench: Bench, limit: int = 100, **asked: object) -> list[Finding]:
    """Return the findings of all pages."""
    seen: list[Finding] = []
    after = None
    while True:
        page = bench.database.findings(limit=limit, after=after, **asked)
        seen += page.records
        if not page.more:
            return seen
        assert len(page.records) == limit
        after = page.records[-1]


def test_a_finding_is_read_back_as_it_was_recorded(bench: Bench) -> None:
    record(bench.database, FindingKind.MISSING)

    (found,) = walk(bench)

    assert (found.kind, found.store, found.subject) == (FindingKind.MISSING, "s", "key")
    assert (found.image_id, found.detail) == ("an image", "key is wrong")
    assert (found.state, found.closed_at) == (FindingState.OPEN, None)
    assert found.found_at == found.seen_at


def test_an_open_finding_that_is_recorded_again_keeps_its_row(bench: Bench) -> None:
    record(bench.database, FindingKind.MISSING)
    (before,) = walk(bench)

    record(bench.database, FindingKind.MISSING)

    (after,) = walk(bench)
    assert (after.id, after.found_at, after.state) == (before.id, before.found_at, FindingState.OPEN)
    assert after.seen_at > before.seen_at


@pytest.mark.parametrize("state", [FindingState.CLOSED, FindingState.REPAIRED])
def test_a_finding_that_has_ended_cannot_be_ended_again(bench: Bench, state: FindingState) -> None:
    record(bench.database, FindingKind.ORPHAN)

    assert not close(bench, FindingKind.MISSING, state=state)
    assert not close(bench, FindingKind.ORPHAN, "another key", state=state)
    assert close(bench, FindingKind.ORPHAN, state=state)
    assert not close(bench, FindingKind.ORPHAN, state=state)

    (found,) = walk(bench)
    assert found.state is state
    assert found.closed_at is not None


def test_a_finding_is_lifted_by_its_id(bench: Bench) -> None:
    record(bench.database, FindingKind.ORPHAN)
    (found,) = walk(bench)
    for lifted in (True, False):
        with bench.database.unit() as unit:
            assert unit.lift_finding(found.id) is lifted

    assert [one.state for one in walk(bench)] == [FindingState.LIFTED]


def test_damage_that_comes_back_reopens_its_finding(bench: Bench) -> None:
    record(bench.database, FindingKind.MISSING)
    (before,) = walk(bench)
    close(bench, FindingKind.MISSING)

    record(bench.database, FindingKind.MISSING)

    (after,) = walk(bench)
    assert (after.id, after.state, after.closed_at) == (before.id, FindingState.OPEN, None)
    assert after.found_at == after.seen_at > before.found_at


@given(things=THINGS, limit=st.integers(1, 5))
def test_pages_are_in_the_order_of_recording_and_neither_repeat_nor_skip(template, things, limit) -> None:
    with make_bench(template) as bench:
        for kind, store, subject in things:
            record(bench.database, kind, store, subject)

        seen = [(one.kind, one.store, one.subject) for one in walk(bench, limit)]
        there = [(one.kind, one.store, one.subject) for one in walk(bench, limit, store="a")]

        assert seen == things
        assert there == [thing for thing in things if thing[1] == "a"]


def test_pages_neither_repeat_nor_skip_findings_with_the_same_time(bench: Bench) -> None:
    with bench.database.unit() as unit:
        for number in range(20):
            unit.record_finding(FindingKind.ORPHAN, "s", f"key{number}", None, "")
    with bench.database.engine.begin() as connection:
        connection.execute(update(FindingRow).values(found_at=walk(bench)[0].found_at))

    assert len({one.id for one in walk(bench, 3)}) == 20


def test_a_list_has_only_the_findings_in_the_requested_state(bench: Bench) -> None:
    for kind in (FindingKind.MISSING, FindingKind.ORPHAN, FindingKind.LEFTOVER):
        record(bench.database, kind)
    close(bench, FindingKind.ORPHAN)
    close(bench, FindingKind.LEFTOVER, state=FindingState.REPAIRED)

    for state, kind in (
        (FindingState.OPEN, FindingKind.MISSING),
        (FindingState.CLOSED, FindingKind.ORPHAN),
        (FindingState.REPAIRED, FindingKind.LEFTOVER),
    ):
        assert [one.kind for one in walk(bench, state=state)] == [kind]


def test_open_findings_are_counted_by_kind_and_store(bench: Bench) -> None:
    record(bench.database, FindingKind.MISSING, "a")
    record(bench.database, FindingKind.ORPHAN, "a")
    record(bench.database, FindingKind.ORPHAN, "a", "another")
    record(bench.database, FindingKind.ORPHAN)
    close(bench, FindingKind.ORPHAN)

    assert bench.database.census().findings == (
        FindingCount(FindingKind.MISSING, "a", 1),
        FindingCount(FindingKind.ORPHAN, "a", 2),
    )


def test_images_with_a_status_of_a_newer_version_are_counted(bench: Bench) -> None:
    """Metrics of a process whose database another version has written to stay complete."""
    image = bench.reserve()
    with bench.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE images SET status = 'frozen' WHERE id = '{image.id}'")

    assert bench.database.census().images == {"frozen": 1}


def test_concurrent_checks_write_one_row_for_the_same_damage(bench: Bench) -> None:
    barrier = threading.Barrier(4)

    def check(_: int) -> None:
        barrier.wait()
        record(bench.database, FindingKind.MISSING)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(4)))

    assert len(walk(bench)) == 1
