"""fsck over a real database and the reference driver: what it finds, what it removes, what it leaves."""

from __future__ import annotations

import datetime
import io
import math
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from calotype.database.tables import ImageRow, LocationRow
from calotype.model.change import Change
from calotype.model.changes import ImageFields, new_id
from calotype.model.findings import Finding, FindingKind, FindingState
from calotype.model.uploads import keys_in, new_key
from calotype.stores import BlobNotFound, Reader, Unavailable
from calotype.stores.contract import Blob
from calotype.transfers.fsck import checks
from calotype.transfers.fsck.check import FEW, MANY, Check
from calotype.transfers.fsck.steps import Plan, Problem, Refused, Step
from calotype.transfers.readers import Announced
from tests.support.workbench import Bench, Moody, make_bench, make_catalog

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
AT_ONCE = Plan(window=0)
REPAIR = Plan(window=0, repair=True)


class Changing(Moody):
    """A store whose location form changes with `form`, and that can be away, or fail to list or read."""

    form = "blob:{}"
    #: Whether it still understands the form of its first version.
    remembers = False
    is_away = False
    #: After how many objects its listing breaks off.
    lists: float = math.inf
    reads = True
    asked = 0

    def blobs(self) -> Iterator[Blob]:
        self._answer()
        for number, blob in enumerate(super().blobs()):
            if number >= self.lists:
                raise Unavailable(self.name, "the listing broke off")
            yield Blob(self.form.format(blob.location.removeprefix("blob:")), blob.size, blob.modified)

    def attempts(self) -> Iterator[Blob]:
        self._answer()
        return (replace(part, modified=LONG_AGO) for part in super().attempts())

    def locate(self, key: str) -> str | None:
        return self.form.format(key)

    def check(self) -> None:
        self._answer()

    def size(self, location: str) -> int | None:
        self.asked += 1
        self._answer()
        return super().size(self._old(location))

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        if not self.reads:
            return Failing()
        return super().get(self._old(location), offset, length)

    def delete(self, location: str) -> None:
        super().delete(self._old(location))

    def _old(self, location: str) -> str:
        """Return the first version's location, by which MemoryStore finds its blobs."""
        before, after = self.form.split("{}")
        if location.startswith(before) and location.endswith(after):
            return "blob:" + location[len(before) : len(location) - len(after)]
        if self.remembers:
            return location
        raise BlobNotFound(self.name, "nothing lies there")

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable(self.name, "it cannot be reached")


class Failing(io.RawIOBase):
    """A reader that fails with an error of the operating system, as a bad disk's does."""

    def read(self, size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.fixture
def bench(template) -> Iterator[Bench]:
    with make_bench(template, Changing()) as made:
        yield made


def upload(bench: Bench, body: bytes = b"bytes of an image") -> str:
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(io.BytesIO(body)))
    return image.id


def key_of(bench: Bench, image_id: str) -> str:
    return bench.locations(image_id)[0].key


def stray(bench: Bench, key: str | None = None) -> str:
    """Put an object into the store that no row is about; return its key."""
    key = key or new_key(str(uuid.uuid4()))
    bench.store.shelf.blobs[key] = (b"nobody's", LONG_AGO)
    return key


def fill(bench: Bench, count: int) -> None:
    """Give the store so many objects that are known, by rows of one image."""
    image_id, now = upload(bench), datetime.datetime.now(datetime.UTC)
    bench.lifecycle.delete(bench.database.find(image_id), bench.caller)
    keys = [new_key(image_id) for _ in range(count)]
    bench.store.shelf.blobs |= dict.fromkeys(keys, (b"", now))
    row = {"image_id": image_id, "store": "memory", "state": "stored", "external": False, "counted": 0}
    rows = [{**row, "key": key, "location": f"blob:{key}", "created_at": now} for key in keys]
    if rows:
        with bench.database.engine.begin() as connection:
            connection.execute(insert(LocationRow), rows)
            connection.execute(update(ImageRow).values(size=None))


def run(bench: Bench, plan: Plan = AT_ONCE, refusal: str | None = None, after: str = "") -> list[Step]:
    return list(Check(bench.database, bench.stores["memory"], plan, refusal).run(after))


def problems(steps: list[Step]) -> list[tuple[str, str]]:
    return sorted((step.fault, step.key) for step in steps if isinstance(step, Problem))


def refusals(steps: list[Step]) -> list[str]:
    return [step.reason for step in steps if isinstance(step, Refused)]


def findings(bench: Bench, state: FindingState = FindingState.OPEN) -> list[Finding]:
    return list(bench.database.findings(state, limit=5000).findings)


def opened(bench: Bench) -> list[tuple[str, str]]:
    return sorted((one.kind, one.subject) for one in findings(bench))


# ---------------------------------------------------------------- r1-A3: objects that carry a key


@pytest.mark.parametrize("form", ["obs2:{}", "v2/{}/data", "x{}0", "S3%3A%2F{}%2Fimage", "bucket:ab/{}.raw"])
@pytest.mark.parametrize("remembers", [False, True])
def test_an_object_with_the_key_of_a_living_row_is_no_orphan_whatever_its_location(
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


def test_a_row_whose_bytes_have_moved_says_where_they_could_be(bench: Bench) -> None:
    """r1-A3: the row is reported unreadable."""
    image_id = upload(bench)
    bench.store.form = "obs2:{}"

    run(bench)

    (finding,) = findings(bench)
    key = key_of(bench, image_id)
    assert (finding.kind, finding.image_id) == (FindingKind.UNREADABLE, image_id)
    assert finding.detail == f"nothing lies at blob:{key}; but obs2:{key} carries its key"


def test_an_image_that_is_deleted_during_the_run_misses_nothing(bench: Bench) -> None:
    for _ in range(2):
        upload(bench)
    bench.store.form = "obs2:{}"
    steps = Check(bench.database, bench.stores["memory"], AT_ONCE).run()
    first = next(step for step in steps if isinstance(step, Problem))
    (other,) = set(bench.images()) - {first.image_id}

    bench.lifecycle.delete(bench.database.find(other), bench.caller)

    assert problems(list(steps)) == []


def test_a_key_is_compared_with_the_rows_of_all_stores_and_states(bench: Bench) -> None:
    """r1-A3 and r1-A2: the row may say another store, if two stores share a place, and it may be doomed."""
    ids = [upload(bench) for _ in range(3)]
    with bench.database.engine.begin() as connection:
        moved = update(LocationRow).where(LocationRow.image_id == ids[0])
        connection.execute(moved.values(store="another"))
        doomed = update(LocationRow).where(LocationRow.image_id == ids[1])
        connection.execute(doomed.values(state="doomed"))
    bench.store.form = "obs2:{}"

    run(bench, REPAIR)

    assert len(bench.store.shelf.blobs) == 3


def test_parts_of_an_upload_are_no_leftover_if_they_carry_the_key_of_a_row(bench: Bench) -> None:
    """r1-A3: what holds for blobs holds for what unfinished uploads left."""
    key = key_of(bench, upload(bench))
    bench.store.shelf.attempts[1] = (f"obs2:{key}", io.BytesIO())
    bench.store.shelf.attempts[2] = (gone := new_key(new_id()), io.BytesIO())

    assert problems(run(bench, REPAIR)) == [("leftover", gone)]
    assert list(bench.store.shelf.attempts) == [1]


def test_an_orphan_that_carries_no_key_stays_while_an_image_is_not_where_its_row_says(bench: Bench) -> None:
    """r1-A3: it could be the bytes of that image, under a name that hides the key."""
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


def test_a_location_carries_the_keys_that_the_core_makes_and_no_others() -> None:
    image_id = new_id()
    key = new_key(image_id)

    assert keys_in(f"x:{key.upper()}") == {key}
    assert keys_in(key.replace(".", "%2E")) == {key}
    assert keys_in(f"{key}/{new_key(image_id)}") >= {key}
    assert keys_in(image_id) == keys_in(key[:-1]) == keys_in("") == set()


# ---------------------------------------------------------------- r1-A4: how much a repair removes


def test_a_repair_that_would_empty_the_store_removes_nothing_until_the_operator_agrees(bench: Bench) -> None:
    """r1-A4: a fresh database beside a full store."""
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
def test_an_operator_is_asked_for_more_than_a_few_that_are_a_great_share_and_for_very_many(
    bench: Bench, orphans: int, images: int, asks: bool
) -> None:
    """r1-A4: what crashes leave behind goes without a word."""
    fill(bench, images)
    for _ in range(orphans):
        stray(bench)

    steps = run(bench, REPAIR)

    assert bool(refusals(steps)) is asks
    assert len(problems(steps)) == orphans
    assert len(bench.store.shelf.blobs) == images + (orphans if asks else 0)


def test_parts_of_uploads_count_among_what_a_repair_removes(bench: Bench) -> None:
    """r1-A4: they too belong to another database, where the database is the wrong one."""
    for number in range(FEW + 1):
        bench.store.shelf.attempts[number] = (new_key(new_id()), io.BytesIO())

    assert len(refusals(run(bench, REPAIR))) == 1
    assert len(bench.store.shelf.attempts) == FEW + 1


def test_nothing_is_removed_from_a_place_that_must_not_be_repaired(bench: Bench) -> None:
    """r1-A4: the place belongs to another database; what lies there is no finding of this one."""
    key = stray(bench)
    reason = "it belongs to another database"

    steps = run(bench, Plan(window=0, repair=True, agreed=5), refusal=reason)

    assert refusals(steps) == [f"{reason}. Nothing was removed."]
    assert problems(steps) == [("orphan", f"blob:{key}")]
    assert key in bench.store.shelf.blobs
    assert findings(bench) == []
    assert refusals(run(bench, AT_ONCE, refusal=reason)) == []


def test_nothing_is_removed_from_a_store_that_could_not_be_listed_to_the_end(bench: Bench) -> None:
    """r1-A4: of a part of the objects nobody can say how great a share would go."""
    keys = {stray(bench) for _ in range(600)}
    bench.store.lists = 550

    steps = run(bench, REPAIR)

    (reason,) = refusals(steps)
    assert ("unreachable", "") in problems(steps)
    assert reason == "It could not be listed to the end: the listing broke off. Nothing was removed."
    assert bench.store.shelf.blobs.keys() == keys


def test_what_a_row_has_claimed_since_it_was_listed_is_not_removed(bench: Bench) -> None:
    key = stray(bench)
    image_id = upload(bench)
    steps = Check(bench.database, bench.stores["memory"], REPAIR).run()
    next(steps)  # all objects of the first batch have been judged
    with bench.database.engine.begin() as connection:
        connection.execute(update(LocationRow).values(key=key, location="elsewhere"))

    list(steps)

    assert key in bench.store.shelf.blobs
    assert image_id


# ---------------------------------------------------------------- r1-H8, r1-A5: stores that are away


def test_a_store_that_is_away_is_unreachable_with_all_its_images(bench: Bench) -> None:
    """r1-H8: it is asked for one image, not for thousands that each end after a timeout."""
    keys = [key_of(bench, upload(bench)) for _ in range(3)]
    bench.store.is_away = True

    steps = run(bench, REPAIR)

    assert problems(steps) == sorted([("unreachable", ""), *(("unreachable", key) for key in keys)])
    assert bench.store.asked == 1
    (finding,) = findings(bench)
    assert (finding.subject, finding.detail) == ("", "it cannot be reached")


def test_a_store_that_is_away_and_holds_no_image_is_unreachable_too(bench: Bench) -> None:
    """r1-H8"""
    bench.store.is_away = True

    assert problems(run(bench)) == [("unreachable", "")]


def test_images_are_looked_for_where_only_the_listing_fails(bench: Bench) -> None:
    """r1-H8"""
    lost, _ = (key_of(bench, upload(bench)) for _ in range(2))
    bench.store.lists = 1
    del bench.store.shelf.blobs[lost]
    stray(bench)

    assert problems(run(bench))[-1] == ("unreachable", "")
    assert ("missing", lost) in problems(run(bench))


def test_an_error_while_bytes_are_read_makes_one_image_unreadable_and_the_rest_goes_on(bench: Bench) -> None:
    """r1-H8: an error of the operating system's from a reader is no reason to end the run either."""
    keys = [key_of(bench, upload(bench)) for _ in range(2)]
    bench.store.reads = False

    assert problems(run(bench, Plan(window=0, rate=1e9))) == sorted(("unreadable", key) for key in keys)


def test_images_of_stores_that_are_off_or_not_configured_are_unreachable(bench: Bench) -> None:
    """r1-A5: nobody looks at them, and that is not the same as all being well."""
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


def test_a_place_whose_owner_cannot_be_told_is_not_repaired(bench: Bench) -> None:
    """r1-A4: a marker that cannot be read is no permission."""
    key = stray(bench)

    def may_repair(store: object) -> None:
        raise Unavailable("memory", "the marker cannot be read")

    (check,) = checks(bench.database, bench.stores, REPAIR, may_repair)

    assert "the marker cannot be read" in refusals(list(check.run()))[0]
    assert key in bench.store.shelf.blobs


# ---------------------------------------------------------------- findings


def test_what_is_wrong_is_a_finding_until_a_later_run_finds_it_well(bench: Bench) -> None:
    short, changed, missing = keys = [key_of(bench, upload(bench)) for _ in range(3)]
    blobs = bench.store.shelf.blobs
    well = dict(blobs)
    at = blobs[short][1]
    blobs |= {short: (b"short", at), changed: (b"Bytes of an image", at)}
    del blobs[missing]
    orphan = stray(bench)
    deep = Plan(window=0, rate=1e9)
    wrong = sorted(
        [
            ("wrong size", short),
            ("wrong digest", changed),
            ("missing", missing),
            ("orphan", f"blob:{orphan}"),
        ]
    )

    for _ in range(2):
        assert problems(run(bench, deep)) == wrong
        assert opened(bench) == wrong
    blobs |= well
    run(bench)

    assert opened(bench) == [("orphan", f"blob:{orphan}"), ("wrong digest", changed)], "nobody read its bytes"
    run(bench, Plan(window=0, rate=1e9, repair=True))
    assert opened(bench) == []
    assert [one.subject for one in findings(bench, FindingState.REPAIRED)] == [f"blob:{orphan}"]
    assert sorted(one.subject for one in findings(bench, FindingState.CLOSED)) == sorted(keys)


def test_findings_stay_open_where_a_run_could_not_look(bench: Bench) -> None:
    key = key_of(bench, upload(bench))
    data = bench.store.shelf.blobs.pop(key)
    orphan = stray(bench)
    run(bench)
    before = opened(bench)
    bench.store.is_away = True
    run(bench)
    assert opened(bench) == sorted([*before, ("unreachable", "")])

    bench.store.is_away = False
    run(bench, after=key)
    assert opened(bench) == before, "the store answers; the image was not among those looked at"
    bench.store.shelf.blobs[key] = data
    run(bench, Plan(window=1e9))
    assert opened(bench) == [("orphan", f"blob:{orphan}")], "it is still there, and too young to be judged"


def test_a_wrong_digest_stays_open_while_its_bytes_cannot_be_read(bench: Bench) -> None:
    key = key_of(bench, upload(bench))
    bench.store.shelf.blobs[key] = (b"Bytes of an image", LONG_AGO)
    deep = Plan(window=0, rate=1e9)
    run(bench, deep)
    bench.store.reads = False

    run(bench, deep)

    assert opened(bench) == [("unreadable", key), ("wrong digest", key)]


def test_findings_about_an_image_end_with_the_image(bench: Bench) -> None:
    image_id = upload(bench)
    bench.store.shelf.blobs.clear()
    run(bench)
    assert len(findings(bench)) == 1

    bench.lifecycle.delete(bench.database.find(image_id), bench.caller)
    run(bench)

    assert findings(bench) == []


def test_an_orphan_that_is_gone_closes_its_finding(bench: Bench) -> None:
    stray(bench)
    bench.store.shelf.attempts[1] = (new_key(new_id()), io.BytesIO())
    run(bench)
    assert [one.kind for one in findings(bench)] == ["orphan", "leftover"]
    bench.store.shelf.blobs.clear()
    bench.store.shelf.attempts.clear()

    run(bench)

    assert findings(bench) == []


def test_what_was_found_is_kept_when_a_run_is_broken_off(bench: Bench) -> None:
    upload(bench)
    bench.store.shelf.blobs.clear()
    steps = Check(bench.database, bench.stores["memory"], AT_ONCE).run()
    next(steps)

    steps.close()

    assert [one.kind for one in findings(bench)] == ["missing"]
