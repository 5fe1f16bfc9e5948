"""Upload sessions on PostgreSQL and MariaDB, where units of work of several processes run at once."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.errors import LimitReached
from calotype.database.tables import SessionRow
from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.errors import OpenSession, SessionEnded, Superseded, WrongOffset
from calotype.model.fields import ImageFields
from calotype.model.sessions import UploadSession
from calotype.model.states import Status
from calotype.testing import Trickle, pattern
from calotype.transfers.readers import Announced
from calotype.transfers.sessions.chunks import Chunk
from core.tests.images.sessions.benches import CELL, Celled
from tests.support.workbench import CALLER, make_catalog, make_settings

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
DATA = pattern(5 * CELL + 17)


@pytest.fixture
def made(database: str) -> Iterator[Database]:
    """A database with the newest schema."""
    engine = build_engine(database)
    migrate.upgrade(engine)
    opened = Database(engine)
    opened.start_usage(CALLER.project)
    yield opened
    opened.close()


@pytest.fixture
def lifecycles(made: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Lifecycle]]:
    """The verbs of two processes over one database and one store with small cells."""
    monkeypatch.setattr("calotype.transfers.sessions.cells.CELL", CELL)
    monkeypatch.setattr("calotype.transfers.sessions.receiving.IN_MEMORY", CELL)
    stores = make_catalog(Celled())
    settings = make_settings(project_uploads=3)
    made_here = [Lifecycle(made, stores, settings) for _ in range(2)]
    yield made_here
    for lifecycle in made_here:
        lifecycle.close()


def begin(lifecycle: Lifecycle, length: int | None = len(DATA)) -> UploadSession:
    return lifecycle.sessions.begin(Change(CALLER, ImageFields()), length, on_failure=Status.KILLED)


def chunk(offset: int, end: int | None = None, *, alone: bool = True) -> Chunk:
    data = DATA[offset:end]
    return Chunk(offset, Announced(Trickle(data), len(data)), alone=alone)


def read(lifecycle: Lifecycle, made: Database, session: UploadSession) -> bytes:
    image = made.find(session.image_id or "")
    assert image is not None
    reader = lifecycle.reading.open(image)
    return b"".join(iter(lambda: reader.read(1 << 16), b""))


@SERVERS
@pytest.mark.parametrize("length", [len(DATA), None], ids=["known", "unknown"])
def test_chunks_of_two_processes_at_once_all_arrive(
    made: Database, lifecycles: list[Lifecycle], length: int | None
) -> None:
    session, size = begin(lifecycles[0], length), 700

    def send(number: int) -> None:
        part = chunk(number * size, (number + 1) * size, alone=False)
        lifecycles[number % 2].sessions.write(session.id, CALLER, part)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, range(-(-len(DATA) // size))))
    if length is None:
        lifecycles[0].sessions.announce(session.id, CALLER, len(DATA))
    lifecycles[1].sessions.finish(session.id, CALLER)

    assert read(lifecycles[0], made, session) == DATA
    assert made.usage("default").bytes == len(DATA)


@SERVERS
def test_of_requests_that_continue_a_session_at_once_one_succeeds(
    made: Database, lifecycles: list[Lifecycle]
) -> None:
    session = begin(lifecycles[0])

    def send(number: int) -> str:
        try:
            lifecycles[number % 2].sessions.write(session.id, CALLER, chunk(0))
        except (Superseded, WrongOffset) as error:
            return type(error).__name__
        return "stored"

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(send, range(6)))
    state = lifecycles[0].sessions.state(session.id, CALLER)
    if state.offset < len(DATA):
        lifecycles[0].sessions.write(session.id, CALLER, chunk(state.offset))
    lifecycles[1].sessions.finish(session.id, CALLER)

    assert outcomes.count("stored") <= 1
    assert read(lifecycles[0], made, session) == DATA


@SERVERS
def test_the_number_of_sessions_is_never_exceeded(made: Database, lifecycles: list[Lifecycle]) -> None:
    def attempt(number: int) -> bool:
        try:
            begin(lifecycles[number % 2])
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(attempt, range(8)))

    assert begun.count(True) == 3
    assert made.usage("default").bytes == 3 * len(DATA)


@SERVERS
def test_partial_sessions_become_one_image(made: Database, lifecycles: list[Lifecycle]) -> None:
    verbs = lifecycles[0].sessions
    parts = []
    for start, end in ((0, 2500), (2500, len(DATA))):
        part = verbs.begin_partial(CALLER, end - start)
        data = DATA[start:end]
        verbs.write(part.id, CALLER, Chunk(0, Announced(Trickle(data), len(data))))
        parts.append(part.id)
    session = verbs.concatenate(Change(CALLER, ImageFields()), parts, on_failure=Status.KILLED)
    lifecycles[1].sessions.finish(session.id, CALLER)

    assert read(lifecycles[0], made, session) == DATA
    assert made.usage("default").bytes == len(DATA)


@SERVERS
def test_an_expired_session_ends_once(made: Database, lifecycles: list[Lifecycle]) -> None:
    session = begin(lifecycles[0])
    lifecycles[0].sessions.write(session.id, CALLER, chunk(0, 1500))
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    with made.unit() as unit:
        unit.connection.execute(update(SessionRow.__table__).values(expires_at=past))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda lifecycle: lifecycle.sweep(), lifecycles))

    assert made.usage("default").bytes == 0
    image = made.find(session.image_id or "")
    assert image is not None
    assert image.status == "killed"
    with pytest.raises(SessionEnded):
        lifecycles[0].sessions.state(session.id, CALLER)


@SERVERS
def test_of_two_sessions_for_one_image_one_begins(made: Database, lifecycles: list[Lifecycle]) -> None:
    image = lifecycles[0].reserve(Change(CALLER, ImageFields()))

    def attempt(lifecycle: Lifecycle) -> bool:
        try:
            change = Change(CALLER, ImageFields(), image)
            lifecycle.sessions.begin(change, 5, on_failure=Status.QUEUED)
        except OpenSession:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(attempt, lifecycles)) == [False, True]
