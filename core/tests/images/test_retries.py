"""A unit of work that is retried after a lock conflict sends no second request to a source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from calotype.database.database import Database
from calotype.database.retry import LockConflict
from calotype.database.unit_of_work import Unit
from calotype.images.imports import ImportRequest, Origin
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.states import Status
from calotype.stores.contract import Stored
from tests.support.workbench import CALLER, Bench, Moody

URI = "memory:there"


class Conflicts:
    """Lock conflicts: the next `left` units of work of the database are undone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.left = 0
        real = Database.unit

        @contextlib.contextmanager
        def unit(database: Database, *, frees: bool = False) -> Iterator[Unit]:
            with real(database, frees=frees) as begun:
                yield begun
                if self.left:
                    self.left -= 1
                    raise LockConflict

        monkeypatch.setattr(Database, "unit", unit)


@pytest.fixture
def conflicts(monkeypatch: pytest.MonkeyPatch) -> Conflicts:
    monkeypatch.setattr("calotype.database.retry._PAUSES", (0.0, 0.0, 0.0))
    return Conflicts(monkeypatch)


@pytest.fixture
def asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that the store has sent to a foreign server."""
    made: list[str] = []
    kind = type(bench.store)
    bench.store.shelf.foreign["there"] = b"bytes"
    register = kind.register  # to open a URI, this store registers it

    def ask(store: Moody, uri: str) -> Stored:
        made.append(uri)
        return register(store, uri)

    monkeypatch.setattr(kind, "register", ask)
    return made


def test_an_image_is_registered_by_one_request_to_its_source(
    bench: Bench, conflicts: Conflicts, asked: list[str]
) -> None:
    conflicts.left = 2
    image = bench.lifecycle.register(Change(CALLER, ImageFields(location=URI)))
    assert (image.status, asked, conflicts.left) == (Status.ACTIVE, [URI], 0)
    assert bench.images() == [image.id]


def test_an_import_asks_its_source_once(bench: Bench, conflicts: Conflicts, asked: list[str]) -> None:
    change = Change(CALLER, ImageFields(location=URI))
    conflicts.left = 2
    submitted = bench.lifecycle.imports.submit(change, ImportRequest(Origin.URI, waits=True))
    assert (asked, conflicts.left) == ([], 0)
    conflicts.left = 3
    assert bench.lifecycle.work()
    assert bench.status(submitted.image.id) is Status.ACTIVE
    assert conflicts.left == 0
    assert len(asked) == 1
