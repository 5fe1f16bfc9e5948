"""Events on database servers, where transactions commit in another order than their events are numbered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, text

from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.events.outbox import OutboxReader
from calotype.model.fields import new_id

SERVERS = ("postgresql", "mariadb")
INSERT = (
    "INSERT INTO events (id, kind, image_id, status, created_at) "
    "VALUES ('late', 'changed', 'i', 'active', '2026-01-01 00:00:00')"
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made(database: str) -> Iterator[Database]:
    """A database with the newest schema."""
    engine = build_engine(database)
    migrate.upgrade(engine)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def other(database: str, made: Database) -> Iterator[Connection]:
    """A connection of another process, whose transaction is open."""
    engine = create_engine(database)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def add_image(database: Database) -> None:
    with database.unit() as unit:
        unit.add_image(new_id(), {"owner": "p", "protected": False, "visibility": "private"}, {})


@pytest.mark.parametrize("database", SERVERS, indirect=True)
def test_an_event_whose_transaction_commits_late_is_read_and_delays_no_other(
    made: Database, other: Connection
) -> None:
    reader = OutboxReader(made.events)
    reader.start()
    add_image(made)
    (first,) = reader.read()
    assert reader.position == first.number

    other.execute(text(INSERT))
    add_image(made)
    (early,) = reader.read()
    assert early.number > first.number + 1
    assert reader.position == first.number  # a client that leaves now resumes here
    other.commit()
    (late,) = reader.read()
    assert (late.id, late.number < early.number) == ("late", True)
    assert reader.position == early.number
    assert reader.read() == []


@pytest.mark.parametrize("database", SERVERS, indirect=True)
def test_the_gap_of_a_transaction_that_is_rolled_back_is_given_up(made: Database, other: Connection) -> None:
    clock = Clock()
    reader = OutboxReader(made.events, clock)
    reader.start()
    other.execute(text(INSERT))
    other.rollback()
    add_image(made)
    (found,) = reader.read()
    assert reader.position < found.number
    clock.now += 31
    assert reader.read() == []
    assert reader.position == found.number


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_number_of_a_removed_event_is_not_used_again(made: Database) -> None:
    for _ in range(3):
        add_image(made)
    newest = made.events.kept().newest
    with made.unit() as unit:
        unit.forget_events([newest])
    add_image(made)
    assert made.events.kept().newest == newest + 1
