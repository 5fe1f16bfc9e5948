"""The audit trail: which changes are recorded, what that costs, and the removal of old records."""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from rich.markup import render
from sqlalchemy import event

from calotype.cli.audit import to_text
from calotype.database.database import Database
from calotype.images.lifecycle import Lifecycle
from calotype.model.audit import Actor, Agent, AuditQuery, AuditRecord, AuditVerb, Origin, Outcome
from calotype.model.change import Change
from calotype.model.errors import NotAllowed
from calotype.model.fields import ImageFields, InvalidRequest
from calotype.model.images import Image
from calotype.testing import Trickle
from calotype.transfers.readers import Announced
from core.tests.database.test_rights import ADMIN, VERBS, make_image
from tests.support.workbench import CALLER, Bench, make_settings


@contextlib.contextmanager
def counted(database: Database) -> Iterator[dict[str, int]]:
    """Count the statements that units execute: those of the audit trail, and all others."""
    counts = {"audit": 0, "other": 0}

    def note(connection, cursor, statement, values, context, many) -> None:
        counts["audit" if " audit " in statement else "other"] += 1

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield counts
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def records(bench: Bench) -> list[str]:
    """Return the verbs of all records, oldest first."""
    return [one.verb for one in bench.database.audit.page(AuditQuery(limit=100)).records][::-1]


def test_records_cost_each_unit_one_statement_and_reads_none(bench: Bench) -> None:
    """r1-E10: a unit of work writes all its records by one statement."""
    verbs = {
        "reserve": (1, lambda: bench.lifecycle.reserve(Change(CALLER, ImageFields(tags=("t",))))),
        "upload": (
            2,
            lambda: bench.lifecycle.upload(Change(CALLER, ImageFields()), Announced(Trickle(b"bytes"), 5)),
        ),
        "page": (0, lambda: bench.page(5).images),
    }
    for name, (units, verb) in verbs.items():
        with counted(bench.database) as counts:
            verb()
        assert counts["audit"] == units, name
    assert records(bench) == ["create", "create", "upload"]


def test_a_unit_that_is_rolled_back_leaves_no_record_and_no_line_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """r1-E10: the record and the line are written with the commit."""
    caplog.set_level(logging.INFO, "calotype.audit")
    image = bench.lifecycle.reserve(Change(CALLER, ImageFields()))
    with contextlib.suppress(RuntimeError), bench.database.unit() as unit:
        unit.audit(AuditVerb.UPDATE, image.id, CALLER.actor)
        raise RuntimeError
    assert records(bench) == ["create"]
    assert len([one for one in caplog.records if one.name == "calotype.audit"]) == 1


#: What must happen to an image before a verb can change it. Other verbs change a queued one.
BEFORE: dict[str, Callable[[Bench, Image], object]] = {
    "submit: staged": lambda bench, image: VERBS["stage"](bench, image, ADMIN),
    **dict.fromkeys(
        ("deactivate", "remove_from_store", "submit: copy"),
        lambda bench, image: VERBS["upload"](bench, image, ADMIN),
    ),
    "reactivate": lambda bench, image: (
        VERBS["upload"](bench, image, ADMIN),
        VERBS["deactivate"](bench, image, ADMIN),
    ),
}


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_that_changes_an_image_is_recorded(bench: Bench, name: str) -> None:
    """r1-E10: a new verb without a record fails here."""
    image = make_image(bench)
    BEFORE.get(name, lambda bench, image: None)(bench, image)
    before = len(records(bench))
    change = partial(VERBS[name], bench, bench.database.find(image.id), ADMIN)
    if name in ("submit: copy", "remove_from_store"):
        # There is only one store, so nothing can be copied, and the last copy is not removed.
        with pytest.raises((InvalidRequest, NotAllowed)):
            change()
        assert len(records(bench)) == before
    else:
        change()
        assert len(records(bench)) == before + 1


def test_the_sweeper_removes_old_records_in_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """r1-E10: it removes the oldest records first, and keeps those within the retention."""
    monkeypatch.setattr("calotype.images.audit._BATCH", 2)
    for _ in range(4):
        bench.lifecycle.reserve(Change(CALLER, ImageFields()))
    with contextlib.closing(bench.raw()) as raw:
        old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=91)
        raw.execute("UPDATE audit SET created_at = ? WHERE id <= 3", [f"{old:%Y-%m-%d %H:%M:%S.%f}"])
    assert bench.lifecycle.sweep().full is True
    assert len(records(bench)) == 2
    assert bench.lifecycle.sweep().full is False
    assert len(records(bench)) == 1
    kept = Lifecycle(bench.database, bench.stores, make_settings(audit_retention=0))
    with contextlib.closing(kept):
        kept.sweep()
    assert records(bench) == []


def test_a_record_is_printed_as_one_line_without_control_characters() -> None:
    """r1-E10: text of a client can neither control a terminal nor begin a line."""
    at = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    actor = Actor("a\x1b[31m", "p", Origin(Agent.COMMAND))
    record = AuditRecord(at, AuditVerb.TAG, Outcome.DONE, "id", actor, "[bold]red\n")
    line = render(to_text(record)).plain
    assert line == "2026-01-31 12:00:00Z  a?[31m of p (command)  tag id  done: [bold]red?"
