"""The choice of the caller whose request runs next, with a clock that the tests set."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype_server import turns
from calotype_server.callers import Caller, Callers
from calotype_server.turns import Turns


@dataclass
class Clock:
    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


@dataclass(frozen=True)
class Request:
    reads_body: bool = False
    is_upload: bool = False


PLAIN = Request()
UPLOAD = Request(reads_body=True, is_upload=True)
DOCUMENT = Request(reads_body=True)


@dataclass(eq=False)
class Task:
    """The attributes of a channel that turns use."""

    name: str
    requests: list[Request] = field(default_factory=lambda: [Request()])

    @property
    def caller(self) -> Caller:
        return Caller(self.name, known=not self.name.startswith("at "))


@dataclass
class World:
    """Turns, with workers that run and end requests."""

    patch: pytest.MonkeyPatch
    clock: Clock = field(default_factory=Clock)
    most: int = 2
    workers: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.patch.setattr(turns, "time", self.clock)
        self.queue = Turns(self.most, kept=1)

    def wait(self, *callers: str, request: Request = PLAIN) -> None:
        """Queue a request of each caller."""
        for caller in callers:
            self.queue.append(Task(caller, [request]))

    def take(self) -> str | None:
        """Return the caller whose request the next worker takes; None if no request may run."""
        if not self.queue:
            return None
        number = max(self.workers, default=0) + 1
        self.patch.setattr(threading, "get_ident", lambda: number)
        self.workers[number] = self.queue.popleft().name
        return self.workers[number]

    def end(self, caller: str, seconds: float = 0.0) -> None:
        """End one request of the caller after so many seconds of processor time."""
        number = next(number for number, who in self.workers.items() if who == caller)
        del self.workers[number]
        self.patch.setattr(threading, "get_ident", lambda: number)
        self.queue.end(seconds)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_requests_of_one_caller_run_in_order(world: World) -> None:
    first, second = Task("a"), Task("a")
    world.queue.append(first)
    world.queue.append(second)

    assert len(world.queue) == 2
    assert [world.queue.popleft(), world.queue.popleft()] == [first, second]
    assert not world.queue


def test_the_caller_who_used_the_least_processor_time_is_next(world: World) -> None:
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 0.2)
    world.end("b", 0.1)

    world.wait("a", "b")
    assert [world.take(), world.take()] == ["b", "a"]


def test_of_callers_who_used_no_processor_time_the_one_that_waits_longest_is_next(world: World) -> None:
    world.wait("a", "a", "b")

    assert [world.take(), world.take()] == ["a", "b"]


def test_one_caller_gets_all_workers_except_the_reserved_ones(world: World) -> None:
    world.wait("a", "a", "a")

    assert [world.take(), world.take(), world.take()] == ["a", "a", None]
    world.wait("b", "b")
    assert [world.take(), world.take()] == ["b", None]
    world.end("a")
    assert world.take() is None, "two still run"
    world.end("a")
    assert world.take() in ("a", "b")


def test_all_callers_together_leave_the_workers_of_uploads_free(world: World) -> None:
    """The other workers are for uploads."""
    world.wait("a", "b", "c", "d")

    assert [world.take() for _ in range(4)] == ["a", "b", "c", None]


def test_a_heavy_caller_has_few_requests_running_while_others_come(world: World) -> None:
    world.queue = Turns(9, kept=1)
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 3.0)
    world.wait("a", "a", "a", "b")

    assert [world.take() for _ in range(4)] == ["b", "a", "a", None]
    world.end("a", 0.1)
    assert world.take() == "a"


@pytest.mark.parametrize("request_", [PLAIN, DOCUMENT], ids=["plain", "document"])
def test_an_unidentified_heavy_caller_has_few_requests_running(world: World, request_: Request) -> None:
    world.queue = Turns(9, kept=1)
    world.wait("at 192.0.2.1", "b")
    assert [world.take(), world.take()] == ["at 192.0.2.1", "b"]
    world.end("at 192.0.2.1", 3.0)
    world.wait(*["at 192.0.2.1"] * 3, request=request_)

    assert [world.take() for _ in range(3)] == ["at 192.0.2.1"] * 2 + [None]


def test_a_heavy_caller_who_is_alone_has_several_requests_running(world: World) -> None:
    """Requests for health come from an address and not from a known caller, so load does not affect them."""
    world.queue = Turns(9, kept=1)
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 100.0)
    world.clock.now += 3
    world.wait("at 192.0.2.1", "a", "a", "a", "a")

    assert [world.take() for _ in range(5)] == ["at 192.0.2.1", "a", "a", "a", "a"]


def test_no_caller_waits_for_long_while_others_are_served(world: World) -> None:
    world.most, world.queue = 1, Turns(1, kept=0)
    world.wait("a")
    world.take()
    world.end("a", 0.5)
    world.wait("a")
    waited = 0
    while waited < 10:
        world.wait(f"new {waited}")
        who = world.take()
        assert who is not None
        world.end(who)
        if who == "a":
            break
        world.clock.now += 0.3
        waited += 1
    assert waited == 4


def test_a_caller_is_no_longer_heavy_some_time_after_its_last_request(world: World) -> None:
    world.queue = Turns(9, kept=1)
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 3.0)
    world.end("b")
    world.clock.now += 8
    world.wait("a", "a", "b")

    assert [world.take(), world.take(), world.take()] == ["b", "a", "a"], "it is no heavy caller any more"


def test_long_requests_of_a_heavy_caller_keep_its_others_waiting_no_longer(world: World) -> None:
    world.queue = Turns(9, kept=1)
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 9.0)
    world.wait("a", "a", "a")
    assert [world.take(), world.take(), world.take()] == ["a", "a", None]

    world.clock.now += 1
    assert world.take() == "a"


def test_an_upload_that_was_admitted_runs_first(world: World) -> None:
    """An admitted upload has a slot, and with it a worker."""
    world.wait("a", "a", "a")
    assert [world.take(), world.take(), world.take()] == ["a", "a", None]
    world.wait("a", request=UPLOAD)

    assert world.queue
    assert world.take() == "a"


def test_a_request_that_has_released_its_worker_keeps_nobody_waiting(world: World) -> None:
    world.wait("a", "a", "a")
    assert [world.take(), world.take(), world.take()] == ["a", "a", None]

    with world.queue.released(threading.Lock()):
        assert world.take() == "a"
    assert len(world.workers) == 3


def test_callers_without_requests_or_used_time_are_forgotten(world: World) -> None:
    world.wait("a", "b")
    world.take()
    world.take()
    world.end("a", 0.5)
    world.queue.forget()
    assert len(world.queue._accounts) == 2

    world.end("b")
    world.clock.now += 60
    world.queue.forget()
    assert len(world.queue._accounts) == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from(["a", "b", "at c"])),
        st.just(("take", "")),
        st.tuples(st.just("end"), st.floats(0, 3)),
        st.tuples(st.just("sleep"), st.floats(0, 12)),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_request_runs_eventually(steps: list[tuple[str, object]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(patch)
        came, ran = 0, 0
        for step, what in steps:
            if step == "wait":
                world.wait(str(what))
                came += 1
            elif step == "take":
                ran += world.take() is not None
            elif step == "sleep":
                world.clock.now += float(str(what))
            elif world.workers:
                world.end(next(iter(world.workers.values())), float(str(what)))
            assert len(world.queue) == came - ran
        while len(world.queue):
            while world.workers:
                world.end(next(iter(world.workers.values())))
            assert world.take() is not None
            ran += 1
        assert ran == came


def test_a_token_belongs_to_a_caller_once_the_application_has_named_the_caller() -> None:
    callers = Callers()
    assert callers.of(1, "192.0.2.1") == callers.of(2, "192.0.2.1") == callers.of(None, "192.0.2.1")

    callers.learn(1, "alice")
    callers.learn(3, "alice")
    callers.learn(None, "nobody")
    assert callers.of(1, "192.0.2.1") == callers.of(3, "192.0.2.9") == Caller("alice", known=True)
    assert not callers.of(None, "192.0.2.1").known
    callers.learn(1, "bob")
    assert callers.of(1, "192.0.2.1").name == "bob"


def test_the_number_of_remembered_tokens_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype_server.callers._MOST", 2)
    callers = Callers()
    for number in range(3):
        callers.learn(number, f"caller {number}")

    assert [callers.of(number, "address").known for number in range(3)] == [False, True, True]
