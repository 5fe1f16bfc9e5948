"""Helpers of these tests: calls of verbs, and ways to make a commit or a worker fail."""

import sqlite3

import pytest

from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image
from calotype.model.states import Status
from calotype.testing import Trickle, pattern
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.readers import Announced
from tests.support.workbench import CALLER, Bench

DATA = pattern(3000)


LEASE = 1.0


QUEUED, SAVING, IMPORTING, ACTIVE, KILLED, DELETED = (
    Status.QUEUED,
    Status.SAVING,
    Status.IMPORTING,
    Status.ACTIVE,
    Status.KILLED,
    Status.DELETED,
)


def begin(lifecycle, verb: str, draft: ImageFields, source: Trickle) -> Image:
    """Make an image by this verb: reserve, upload or register."""
    if verb == "upload":
        return lifecycle.upload(Change(CALLER, draft), Announced(source))
    return getattr(lifecycle, verb)(Change(CALLER, draft))


class Interrupted(BaseException):
    """Raised in a worker that is shut down."""


def doors_of_the_database(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Return switches that let COMMITs fail.

    `doors["commits"]` is the number of COMMITs that still succeed, and `doors["fails"]` the number that fail
    afterwards. With `doors["after"]`, a failing COMMIT is carried out all the same.
    """
    doors = {"commits": None, "after": False, "fails": 1}
    dialect = bench.database.engine.dialect
    real = dialect.do_commit

    def commit(connection):
        if doors["commits"] is None:
            return real(connection)
        if doors["commits"] > 0:
            doors["commits"] -= 1
            return real(connection)
        doors["fails"] -= 1
        if doors["fails"] <= 0:
            doors["commits"] = None
        if doors["after"]:
            real(connection)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(dialect, "do_commit", commit)
    return doors


def bring(bench: Bench, verb: str, image: Image, source) -> None:
    """Upload or stage a queued image's bytes. After a failure it is queued again."""
    if verb == "upload":
        bench.lifecycle.upload(
            Change(bench.caller, ImageFields(), image), Announced(source), on_failure=QUEUED
        )
    else:
        bench.lifecycle.imports.stage(Change(bench.caller, ImageFields(), image), Announced(source))


def sweep_during_the_next_add(bench: Bench, monkeypatch) -> None:
    """During the next `add`, let another process end the upload, as if this process were frozen."""
    other = Lifecycle(bench.database, bench.stores, bench.settings)
    added = bench.store.add

    def add(*arguments):
        monkeypatch.undo()
        stored = added(*arguments)
        with monkeypatch.context() as impatient:
            impatient.setattr(LeaseMonitor, "expired", lambda watch, ends: set(ends))
            assert other.sweep().ended == 1
        return stored

    monkeypatch.setattr(bench.store, "add", add)
