"""Repairs: which objects they remove, and which they keep."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import delete, update

from calotype.database.tables import ImageRow, LocationRow
from calotype.model.fields import new_id
from calotype.model.uploads import new_key
from calotype.testing.memory import Attempt
from calotype.transfers.fsck.check import FEW, MANY, Check
from calotype.transfers.fsck.steps import Plan
from core.tests.transfers.fsck.stores import (
    AT_ONCE,
    REPAIR,
    fill,
    findings,
    problems,
    refusals,
    run,
    stray,
    upload,
)
from tests.support.workbench import Bench


@pytest.mark.parametrize(
    ("orphans", "images", "asks"),
    [
        (FEW, 0, False),
        (FEW + 1, 0, True),
        (FEW + 1, 9 * (FEW + 1) - 1, True),
        (FEW + 1, 9 * (FEW + 1), False),
        (MANY, 9 * MANY, False),
        (MANY + 1, 10 * MANY, True),
    ],
)
def test_a_repair_asks_before_it_removes_a_large_share_or_a_large_number(
    bench: Bench, orphans: int, images: int, asks: bool
) -> None:
    """r1-A4: the few objects that crashes leave are removed without a question."""
    fill(bench, images)
    for _ in range(orphans):
        stray(bench)

    steps = run(bench, REPAIR)

    assert bool(refusals(steps)) is asks
    assert len(problems(steps)) == orphans
    assert len(bench.store.shelf.blobs) == images + (orphans if asks else 0)


def test_an_object_that_a_row_claimed_after_the_listing_is_not_removed(bench: Bench) -> None:
    key = stray(bench)
    image_id = upload(bench)
    steps = Check(bench.database, bench.stores["memory"], REPAIR).run()
    next(steps)  # all objects of the first batch have been judged
    with bench.database.engine.begin() as connection:
        connection.execute(update(LocationRow).values(key=key, location="elsewhere"))

    list(steps)

    assert key in bench.store.shelf.blobs
    assert image_id


def test_a_repair_that_would_empty_a_store_needs_the_operators_agreement(bench: Bench) -> None:
    """r1-A4: the case is a fresh database beside a full store."""
    ids = [upload(bench) for _ in range(FEW + 1)]
    with bench.database.engine.begin() as connection:
        connection.execute(delete(LocationRow))
        connection.execute(delete(ImageRow))

    for agreed in (0, FEW):
        steps = run(bench, Plan(window=0, repair=True, agreed=agreed))
        (reason,) = refusals(steps)
        assert f"would remove {len(ids)} of {len(ids)} objects" in reason
        assert f"--store=memory --yes-remove={len(ids)}" in reason
        assert len(problems(steps)) == len(bench.store.shelf.blobs) == len(ids)

    steps = run(bench, Plan(window=0, repair=True, agreed=len(ids)))

    assert refusals(steps) == []
    assert all(step.repaired for step in steps)
    assert bench.store.shelf.blobs == {}


def test_parts_of_uploads_count_towards_the_number_that_a_repair_removes(bench: Bench) -> None:
    """r1-A4: they also belong to another database if the database is the wrong one."""
    for number in range(FEW + 1):
        bench.store.shelf.attempts[number] = Attempt(new_key(new_id()), io.BytesIO())

    assert len(refusals(run(bench, REPAIR))) == 1
    assert len(bench.store.shelf.attempts) == FEW + 1


def test_a_repair_removes_nothing_from_a_foreign_place(bench: Bench) -> None:
    """r1-A4: the objects in it are no findings of this database."""
    key = stray(bench)
    reason = "it belongs to another database"

    steps = run(bench, Plan(window=0, repair=True, agreed=5), refusal=reason)

    assert refusals(steps) == [f"{reason}. Nothing was removed."]
    assert problems(steps) == [("orphan", f"blob:{key}")]
    assert key in bench.store.shelf.blobs
    assert findings(bench) == []
    assert refusals(run(bench, AT_ONCE, refusal=reason)) == []


def test_a_repair_removes_nothing_from_a_store_whose_listing_broke_off(bench: Bench) -> None:
    """r1-A4: a part of the listing does not show which share of the objects would be removed."""
    keys = {stray(bench) for _ in range(600)}
    bench.store.lists = 550

    steps = run(bench, REPAIR)

    (reason,) = refusals(steps)
    assert ("unreachable", "") in problems(steps)
    assert reason == "It could not be listed to the end: the listing broke off. Nothing was removed."
    assert bench.store.shelf.blobs.keys() == keys
