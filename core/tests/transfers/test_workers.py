"""Background work: when it starts, how often it runs, and how it ends."""

import os
import threading
import time

import pytest

from calotype.app import Application, plan_background
from calotype.transfers.heartbeat import Heartbeat
from calotype.transfers.workers import Background, Scope, Work

#: Seconds after which a test fails instead of waiting any longer.
PATIENCE = 10


class Counted:
    """Work that counts its runs, and reports more to do the first `busy` times."""

    def __init__(self, busy=0, error=None):
        self.runs = threading.Semaphore(0)
        self.threads = set()
        self._busy = busy
        self._error = error

    def __call__(self):
        self.threads.add(threading.get_ident())
        self.runs.release()
        self._busy -= 1
        if self._error is not None:
            raise self._error
        return self._busy >= 0

    def await_runs(self, count):
        for _ in range(count):
            assert self.runs.acquire(timeout=PATIENCE)


@pytest.fixture
def background():
    made = Background()
    yield made
    made.close()


def work(run, interval=600, name="work"):
    return Work(name, interval, run, Scope.PER_PROCESS)


def test_background_work_runs_only_after_the_start(background):
    first, second = Counted(), Counted()
    background.add(work(first))
    background.add(work(second))
    assert not first.runs.acquire(timeout=0.05)
    background.start()
    first.await_runs(1)
    second.await_runs(1)


def test_work_registered_after_the_start_starts_at_once(background):
    background.start()
    late = Counted()
    background.add(work(late))
    late.await_runs(1)


def test_a_second_start_starts_nothing_twice(background):
    run = Counted()
    background.add(work(run, interval=0.01))
    background.start()
    background.start()
    run.await_runs(10)
    assert len(run.threads) == 1


def test_work_that_reports_more_to_do_runs_again_at_once_and_then_waits(background):
    run = Counted(busy=3)
    background.add(work(run))
    background.start()
    run.await_runs(4)
    assert not run.runs.acquire(timeout=0.05)


def test_work_that_fails_is_logged_by_its_name_and_retried(background, caplog):
    run = Counted(error=RuntimeError("no"))
    background.add(work(run, interval=0.01, name="probe-s3"))
    background.start()
    run.await_runs(2)
    assert "probe-s3 failed; it will be retried" in caplog.text


def test_closing_waits_no_longer_than_its_limit_for_all_work_together():
    background, hold = Background(), threading.Event()
    for number in range(5):
        background.add(work(lambda: hold.wait(PATIENCE), name=f"hangs-{number}"))
    background.start()
    began = time.monotonic()
    background.close(0.2)
    assert time.monotonic() - began < 1
    hold.set()


def test_each_kind_of_work_has_a_scope(bench):
    background = plan_background(bench.service, Heartbeat(bench.database))
    assert {one.name: one.scope for one in background} == {
        "heartbeat": Scope.PER_PROCESS,
        "events": Scope.PER_PROCESS,
        "download counts": Scope.PER_PROCESS,
        "probe of database": Scope.PER_PROCESS,
        "probe of store 'memory'": Scope.PER_PROCESS,
        "jobs-0": Scope.PER_DEPLOYMENT,
        "jobs-1": Scope.PER_DEPLOYMENT,
        "sweeper": Scope.PER_DEPLOYMENT,
        "scrubber-memory": Scope.PER_DEPLOYMENT,
    }


# ---------------------------------------------------------------- the application


class Parts:
    """The parts of a process, reduced to the events that they see."""

    made = 0

    def __init__(self):
        type(self).made += 1
        self.background = self
        self.events = []

    def start(self):
        self.events.append("start")

    def close(self):
        self.events.append("close")

    def router(self, environ, start_response):
        self.events.append("request")
        return []


@pytest.fixture
def parts():
    class Made(Parts):
        pass

    return Made


def test_the_background_starts_before_the_first_request_on_any_server(parts):
    app = Application(parts)
    app({}, None)
    app({}, None)
    assert app._process.events == ["start", "request", "request"]


def test_a_server_that_calls_start_serving_starts_the_background_without_a_request(parts):
    app = Application(parts)
    assert app._process.events == []
    app.start_serving()
    app.start_serving()
    app({}, None)
    assert app._process.events == ["start", "request"]


def test_a_fork_makes_its_own_parts_and_leaves_those_of_its_parent_alone(parts):
    app = Application(parts)
    first = app._process
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            app.stop_serving()  # as at its end, before it served
            app({}, None)
            told = [parts.made, app._process is first, app._process.events, first.events]
            os.write(writer, repr(told).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read().decode() == repr([2, False, ["start", "request"], []])
    assert (parts.made, first.events) == (1, [])


def test_the_parts_of_an_application_are_closed_only_once(parts):
    app = Application(parts)
    app.stop_serving()
    app.stop_serving()
    assert app._process.events == ["close"]


def test_pyramids_commands_find_the_registry_of_the_application(parts):
    parts.router = type("Router", (), {"registry": "the registry"})
    assert Application(parts).registry == "the registry"
