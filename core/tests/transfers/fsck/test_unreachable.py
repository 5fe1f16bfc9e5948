"""Stores that are unavailable, switched off or unreadable."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from calotype.database.tables import LocationRow
from calotype.transfers.fsck import checks
from calotype.transfers.fsck.steps import Plan
from calotype.transfers.places import Places
from core.tests.transfers.fsck.stores import (
    AT_ONCE,
    REPAIR,
    findings,
    key_of,
    problems,
    refusals,
    run,
    stray,
    upload,
)
from tests.support.workbench import Bench, make_catalog


def test_images_are_still_checked_if_only_the_listing_fails(bench: Bench) -> None:
    """r1-H8"""
    lost, _ = (key_of(bench, upload(bench)) for _ in range(2))
    bench.store.lists = 1
    del bench.store.shelf.blobs[lost]
    stray(bench)

    assert problems(run(bench))[-1] == ("unreachable", "")
    assert ("missing", lost) in problems(run(bench))


def test_an_unavailable_store_is_unreachable_with_all_its_images(bench: Bench) -> None:
    """r1-H8: fsck asks the store about one image, and not about thousands that each time out."""
    keys = [key_of(bench, upload(bench)) for _ in range(3)]
    bench.store.is_away = True

    steps = run(bench, REPAIR)

    assert problems(steps) == sorted([("unreachable", ""), *(("unreachable", key) for key in keys)])
    assert bench.store.asked == 1
    (finding,) = findings(bench)
    assert (finding.subject, finding.detail) == ("", "it cannot be reached")


def test_an_unavailable_store_without_images_is_reported_as_unreachable(bench: Bench) -> None:
    """r1-H8"""
    bench.store.is_away = True

    assert problems(run(bench)) == [("unreachable", "")]


def test_an_error_while_reading_makes_one_image_unreadable_and_the_check_continues(bench: Bench) -> None:
    """r1-H8: an error of the operating system does not end the check either."""
    keys = [key_of(bench, upload(bench)) for _ in range(2)]
    bench.store.reads = False

    assert problems(run(bench, Plan(window=0, rate=1e9))) == sorted(("unreadable", key) for key in keys)


def test_images_of_stores_that_are_off_or_not_configured_are_unreachable(bench: Bench) -> None:
    """r1-A5: an image that was not checked is not an image without problems."""
    ids = [upload(bench) for _ in range(3)]
    with bench.database.engine.begin() as connection:
        for image_id, store in zip(ids, ("forgotten", "broken"), strict=False):
            connection.execute(
                update(LocationRow).where(LocationRow.image_id == image_id).values(store=store)
            )
    catalog = make_catalog(bench.store)
    catalog.off["broken"] = "option path is missing"

    def look(only: str | None = None) -> list[Any]:
        todo = checks(bench.database, catalog, AT_ONCE, lambda store: None, only)
        return [(check.name, problems(list(check.run()))) for check in todo]

    said = look()

    assert said == [
        ("memory", []),
        ("broken", [("unreachable", ""), ("unreachable", key_of(bench, ids[1]))]),
        ("forgotten", [("unreachable", ""), ("unreachable", key_of(bench, ids[0]))]),
    ]
    assert look("forgotten") == said[2:]
    assert look("nosuch") == []
    details = {one.store: one.detail for one in findings(bench)}
    assert details == {
        "broken": "the store is off: option path is missing",
        "forgotten": "it is not configured",
    }
    with bench.database.engine.begin() as connection:
        connection.execute(update(LocationRow).values(store="memory"))
    assert look() == [("memory", []), ("broken", []), ("forgotten", [])]
    assert findings(bench) == []
    assert look() == [("memory", [])]


def test_a_place_whose_marker_cannot_be_read_is_not_repaired(bench: Bench) -> None:
    """r1-A4: a marker that cannot be read is no permission."""
    key = stray(bench)
    places = Places(bench.database, bench.stores)
    bench.store.reads = False

    (check,) = checks(bench.database, bench.stores, REPAIR, places.may_repair)

    assert refusals(list(check.run())) == ["its driver failed with OSError. Nothing was removed."]
    assert key in bench.store.shelf.blobs
