"""Processes die, answers are lost, and requests meet: no acknowledged byte is lost, and nothing is left."""

import threading

import pytest
from sqlalchemy import update

from calotype.database.tables import SessionRow
from calotype.model.errors import SessionBusy, Superseded
from calotype.model.sessions import SessionStatus
from calotype.testing import Trickle, pattern
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.readers import Announced
from core.tests.images.sessions.benches import CELL

DATA = pattern(3 * CELL + 17)


class Died(BaseException):
    """Raised where a process dies."""


class Waiting:
    """A source that gives some bytes, and then waits until `go` is set."""

    length = None

    def __init__(self, first: bytes, rest: bytes = b""):
        self._blocks = [first, rest]
        self.waits, self.go = threading.Event(), threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        if len(self._blocks) == 1:
            self.waits.set()
            assert self.go.wait(20)
        return self._blocks.pop(0) if self._blocks else b""

    def close(self) -> None:
        pass


@pytest.fixture
def impatient(monkeypatch):
    """All leases have expired."""
    monkeypatch.setattr(LeaseMonitor, "expired", lambda monitor, ends: set(ends))


@pytest.fixture
def complete(bench):
    session = bench.begin(len(DATA))
    return bench.write(session, 0, DATA)


def die_in(monkeypatch, bench, verb: str, *, after: bool) -> None:
    """Let this process die before or after the next call of a method of the driver."""
    method = getattr(bench.store, verb)

    def die(*arguments):
        if after:
            method(*arguments)
        raise Died

    monkeypatch.setattr(bench.store, verb, die)
    # A process that died changes nothing any more.
    monkeypatch.setattr(bench.lifecycle.sessions._assembler, "_fail", lambda session, error, actor: error)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_finishes_what_a_dead_process_has_begun(bench, monkeypatch, impatient, complete, after):
    with monkeypatch.context() as dying:
        die_in(dying, bench, "finish" if complete.token else "add", after=after)
        with pytest.raises(Died):
            bench.finish(complete)
    assert bench.status(complete.image_id) == "saving"
    with pytest.raises(SessionBusy):
        bench.finish(complete)
    other = bench.another_process()
    assert other.lifecycle.work()

    bench.assert_image(bench.finish(complete), DATA)
    assert not other.lifecycle.work()
    other.lifecycle.close()


def test_a_worker_finishes_a_complete_session_that_nobody_finishes(bench, impatient, complete):
    assert bench.lifecycle.work()

    bench.assert_image(bench.finish(complete), DATA)


def test_a_worker_leaves_a_session_alone_as_long_as_its_lease_may_be_valid(bench, complete):
    assert not bench.lifecycle.work()
    assert bench.state(complete).status is SessionStatus.COMPLETE


def test_a_process_that_dies_while_it_writes_loses_only_the_piece_on_its_way(bench, monkeypatch):
    session = bench.begin(len(DATA))
    commit = bench.lifecycle.sessions._receiver.commit
    calls = []

    def die(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise Died
        return commit(*arguments)

    with monkeypatch.context() as dying:
        dying.setattr(bench.lifecycle.sessions._receiver, "commit", die)
        dying.setattr(bench.lifecycle.sessions._receiver.spool, "cancel", lambda parts: None)
        with pytest.raises(Died):
            bench.write(session, 0, DATA)
    other = bench.another_process()
    assert other.state(session).offset == 2 * CELL
    other.write(session, 2 * CELL, DATA[2 * CELL :])

    bench.assert_image(other.finish(session), DATA)
    other.lifecycle.close()


def test_a_newer_request_ends_an_older_one_whose_bytes_are_kept(bench):
    session, older = bench.begin(len(DATA)), Waiting(DATA[:1500], DATA[1500:1600])
    errors = []

    def write():
        try:
            bench.write(session, 0, older)
        except Superseded as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert older.waits.wait(10)
    threading.Timer(0.2, older.go.set).start()
    offset = bench.state(session, ends_writers=True).offset
    thread.join(10)
    assert len(errors) == 1
    assert offset in (1500, 1600)
    bench.write(session, offset, DATA[offset:])

    bench.assert_image(bench.finish(session), DATA)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same process", "another process"])
def test_an_older_request_that_hangs_cannot_add_bytes_later(bench, monkeypatch, elsewhere):
    monkeypatch.setattr("calotype.transfers.sessions.writers.HANDOVER", 0.05)
    newer = bench.another_process() if elsewhere else bench
    session, older = bench.begin(len(DATA)), Waiting(bytes(10), bytes(CELL))
    errors = []

    def write():
        try:
            bench.write(session, 0, older)
        except Superseded as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert older.waits.wait(10)
    newer.write(session, 0, DATA)
    older.go.set()
    thread.join(10)

    assert len(errors) == 1
    bench.assert_image(newer.finish(session), DATA)
    if elsewhere:
        newer.lifecycle.close()


def test_chunks_at_the_same_time_all_arrive(bench):
    session, size = bench.begin(len(DATA)), 300
    offsets = range(0, len(DATA), size)
    threads = [
        threading.Thread(
            target=bench.write, args=(session, offset, DATA[offset : offset + size]), kwargs={"alone": False}
        )
        for offset in offsets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    bench.assert_image(bench.finish(session), DATA)


def test_only_one_of_two_requests_finishes_a_session(bench, complete, monkeypatch):
    verb = "finish" if complete.token else "add"
    method, begun, go = getattr(bench.store, verb), threading.Event(), threading.Event()

    def slow(*arguments):
        begun.set()
        assert go.wait(10)
        return method(*arguments)

    monkeypatch.setattr(bench.store, verb, slow)
    images = []
    thread = threading.Thread(target=lambda: images.append(bench.finish(complete)))
    thread.start()
    assert begun.wait(10)
    with pytest.raises(SessionBusy):
        bench.finish(complete)
    go.set()
    thread.join(10)

    bench.assert_image(images[0], DATA)


def test_a_process_whose_session_was_taken_over_changes_nothing(bench, complete, impatient, monkeypatch):
    other = bench.another_process()
    keep = bench.lifecycle.sessions._assembler._keep

    def lose_the_lease(*arguments):
        monkeypatch.undo()
        monkeypatch.setattr(LeaseMonitor, "expired", lambda monitor, ends: set(ends))
        assert other.lifecycle.work()
        return keep(*arguments)

    monkeypatch.setattr(bench.lifecycle.sessions._assembler, "_keep", lose_the_lease)
    with pytest.raises(Exception, match="taken over"):
        bench.finish(complete)

    bench.assert_image(other.finish(complete), DATA)
    other.lifecycle.close()


def test_a_source_may_give_its_bytes_in_any_portions(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, Announced(Trickle(DATA)))

    bench.assert_image(bench.finish(session), DATA)


def test_fsck_finds_nothing_wrong_while_sessions_are_open(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA[:1500])
    with bench.database.unit() as unit:
        unit.connection.execute(update(SessionRow.__table__).values(writer=None))

    store = bench.stores["memory"]
    keys = {one.location for one in store.attempts()}
    locations = {one.location for one in store.blobs()}
    known = set(bench.database.unplaced_keys("memory")) | set(bench.database.sessions.keys_in("memory"))
    assert keys <= known
    assert locations <= {store.locate(key) for key in known}
