"""Findings of fsck: when they open and when they close."""

from __future__ import annotations

import io

from calotype.model.fields import new_id
from calotype.model.findings import FindingKind, FindingState
from calotype.model.uploads import new_key
from calotype.testing.memory import Attempt
from calotype.transfers.fsck.check import Check
from calotype.transfers.fsck.steps import Plan
from core.tests.transfers.fsck.stores import (
    AT_ONCE,
    LONG_AGO,
    findings,
    key_of,
    opened,
    problems,
    run,
    stray,
    upload,
)
from tests.support.workbench import Bench


def test_a_finding_stays_open_until_a_later_run_finds_the_copy_sound(bench: Bench) -> None:
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

    assert opened(bench) == [("orphan", f"blob:{orphan}"), ("wrong digest", changed)], (
        "its bytes were not read"
    )
    run(bench, Plan(window=0, rate=1e9, repair=True))
    assert opened(bench) == []
    assert [one.subject for one in findings(bench, FindingState.REPAIRED)] == [f"blob:{orphan}"]
    assert sorted(one.subject for one in findings(bench, FindingState.CLOSED)) == sorted(keys)


def test_findings_of_an_interrupted_run_are_kept(bench: Bench) -> None:
    upload(bench)
    bench.store.shelf.blobs.clear()
    steps = Check(bench.database, bench.stores["memory"], AT_ONCE).run()
    next(steps)

    steps.close()

    assert [one.kind for one in findings(bench)] == ["missing"]


def test_findings_stay_open_if_a_run_could_not_check_their_copies(bench: Bench) -> None:
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
    assert opened(bench) == before, "the store answers, but this image was not checked"
    bench.store.shelf.blobs[key] = data
    run(bench, Plan(window=1e9))
    assert opened(bench) == [("orphan", f"blob:{orphan}")], "it is still there, but too young to be judged"


def test_a_wrong_digest_stays_open_while_its_bytes_cannot_be_read(bench: Bench) -> None:
    key = key_of(bench, upload(bench))
    bench.store.shelf.blobs[key] = (b"Bytes of an image", LONG_AGO)
    deep = Plan(window=0, rate=1e9)
    run(bench, deep)
    bench.store.reads = False

    run(bench, deep)

    assert opened(bench) == [("unreadable", key), ("wrong digest", key)]


def test_deleting_an_image_closes_the_findings_about_it(bench: Bench) -> None:
    image_id = upload(bench)
    bench.store.shelf.blobs.clear()
    run(bench)
    assert len(findings(bench)) == 1

    bench.lifecycle.delete(bench.database.find(image_id), bench.caller)
    run(bench)

    assert findings(bench) == []


def test_a_finding_about_an_orphan_closes_once_the_orphan_is_gone(bench: Bench) -> None:
    stray(bench)
    bench.store.shelf.attempts[1] = Attempt(new_key(new_id()), io.BytesIO())
    run(bench)
    assert [one.kind for one in findings(bench)] == ["orphan", "leftover"]
    bench.store.shelf.blobs.clear()
    bench.store.shelf.attempts.clear()

    run(bench)

    assert findings(bench) == []


def test_a_check_leaves_the_finding_that_the_scrubber_has_stopped_open(bench: Bench) -> None:
    """`scrub resume` closes it. A check that closed it would hide that nobody reads the copies again."""
    upload(bench)
    with bench.database.unit() as unit:
        unit.record_finding(FindingKind.SCRUB_STOPPED, "memory", "memory", None, "6 of 9 copies were bad")

    run(bench, Plan(window=0, rate=1e9))

    assert opened(bench) == [("scrub stopped", "memory")]
