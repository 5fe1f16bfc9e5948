"""Keys: an object that carries the key of a row is no orphan."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import update

from calotype.database.tables import LocationRow
from calotype.model.fields import new_id
from calotype.model.findings import FindingKind
from calotype.model.uploads import keys_in, new_key
from calotype.testing.memory import Attempt
from calotype.transfers.fsck.check import Check
from calotype.transfers.fsck.steps import Plan, Problem
from core.tests.transfers.fsck.stores import AT_ONCE, REPAIR, findings, key_of, problems, run, stray, upload
from tests.support.workbench import Bench


def test_an_image_that_is_deleted_during_the_run_is_not_reported_as_missing(bench: Bench) -> None:
    for _ in range(2):
        upload(bench)
    bench.store.form = "obs2:{}"
    steps = Check(bench.database, bench.stores["memory"], AT_ONCE).run()
    first = next(step for step in steps if isinstance(step, Problem))
    (other,) = set(bench.images()) - {first.image_id}

    bench.lifecycle.delete(bench.database.find(other), bench.caller)

    assert problems(list(steps)) == []


@pytest.mark.parametrize("form", ["obs2:{}", "v2/{}/data", "x{}0", "S3%3A%2F{}%2Fimage", "bucket:ab/{}.raw"])
@pytest.mark.parametrize("remembers", [False, True])
def test_an_object_with_the_key_of_a_row_is_no_orphan_whatever_its_location(
    bench: Bench, form: str, remembers: bool
) -> None:
    """r1-A3: a driver's new version lists locations in another form than the rows have."""
    image_id = upload(bench)
    nobodys = stray(bench)
    bench.store.form, bench.store.remembers = form, remembers

    found = problems(run(bench, REPAIR))

    orphan = ("orphan", form.format(nobodys))
    unreadable = ("unreadable", key_of(bench, image_id))
    assert found == sorted([orphan] if remembers else [orphan, unreadable])
    assert list(bench.store.shelf.blobs) == [key_of(bench, image_id)]


def test_the_finding_about_a_moved_copy_says_where_its_bytes_could_be(bench: Bench) -> None:
    """r1-A3: the row is reported unreadable."""
    image_id = upload(bench)
    bench.store.form = "obs2:{}"

    run(bench)

    (finding,) = findings(bench)
    key = key_of(bench, image_id)
    assert (finding.kind, finding.image_id) == (FindingKind.UNREADABLE, image_id)
    assert finding.detail == f"there is nothing at blob:{key}; but obs2:{key} carries its key"


def test_an_objects_key_is_looked_up_in_the_rows_of_all_stores_and_states(bench: Bench) -> None:
    """r1-A3, r1-A2: the row may name another store that shares the place, and it may be pending delete."""
    ids = [upload(bench) for _ in range(3)]
    with bench.database.engine.begin() as connection:
        moved = update(LocationRow).where(LocationRow.image_id == ids[0])
        connection.execute(moved.values(store="another"))
        doomed = update(LocationRow).where(LocationRow.image_id == ids[1])
        connection.execute(doomed.values(state="doomed"))
    bench.store.form = "obs2:{}"

    run(bench, REPAIR)

    assert len(bench.store.shelf.blobs) == 3


def test_parts_of_an_upload_with_the_key_of_a_row_are_no_leftover(bench: Bench) -> None:
    """r1-A3: the rule for blobs also holds for parts that unfinished uploads left."""
    key = key_of(bench, upload(bench))
    bench.store.shelf.attempts[1] = Attempt(f"obs2:{key}", io.BytesIO())
    bench.store.shelf.attempts[2] = Attempt((gone := new_key(new_id())), io.BytesIO())

    assert problems(run(bench, REPAIR)) == [("leftover", gone)]
    assert list(bench.store.shelf.attempts) == [1]


def test_an_orphan_without_a_key_stays_while_an_image_is_not_where_its_row_says(bench: Bench) -> None:
    """r1-A3: the orphan could be the bytes of that image, under a name that hides the key."""
    image_id = upload(bench)
    stray(bench, "nameless")
    data = bench.store.shelf.blobs.pop(key_of(bench, image_id))
    for plan in (REPAIR, Plan(window=0, repair=True, agreed=5)):
        assert problems(run(bench, plan)) == [
            ("missing", key_of(bench, image_id)),
            ("orphan", "blob:nameless"),
        ]
        assert "nameless" in bench.store.shelf.blobs

    bench.store.shelf.blobs[key_of(bench, image_id)] = data

    assert [step.repaired for step in run(bench, REPAIR) if isinstance(step, Problem)] == [True]
    assert "nameless" not in bench.store.shelf.blobs


def test_a_location_contains_only_keys_of_the_form_that_the_core_makes() -> None:
    image_id = new_id()
    key = new_key(image_id)

    assert keys_in(f"x:{key.upper()}") == {key}
    assert keys_in(key.replace(".", "%2E")) == {key}
    assert keys_in(f"{key}/{new_key(image_id)}") >= {key}
    assert keys_in(image_id) == keys_in(key[:-1]) == keys_in("") == set()
