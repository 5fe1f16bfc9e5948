"""Whose request runs next, with a clock that the tests turn."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.serving import turns
from calotype.serving.turns import Turns


@dataclass
class Clock:
    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


@dataclass(frozen=True)
class Request:
    reads_body: bool = False


@dataclass(eq=False)
class Task:
    """As much of a channel as turns look at."""

    caller: str
    requests: list[Request] = field(default_factory=lambda: [Request()])


@dataclass
class World:
    """Turns, and workers that take requests and end them."""

    patch: pytest.MonkeyPatch
    clock: Clock = field(default_factory=Clock)
    most: int = 2
    workers: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.patch.setattr(turns, "time", self.clock)
        self.queue = Turns(self.most)

    def wait(self, *callers: str) -> None:
        """Let a request of each wait."""
        for caller in callers:
            self.queue.append(Task(caller))

    def take(self) -> str | None:
        """Whose request the next worker takes; None if none may run."""
        if not self.queue:
            return None
        number = max(self.workers, default=0) + 1
        self.patch.setattr(threading, "get_ident", lambda: number)
        self.workers[number] = self.queue.popleft().caller
        return self.workers[number]

    def end(self, caller: str, seconds: float = 0.0) -> None:
        """End one request of the caller, which took so much processor time."""
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


def test_the_caller_who_used_least_is_next(world: World) -> None:
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 0.2)
    world.end("b", 0.1)

    world.wait("a", "b")
    assert [world.take(), world.take()] == ["b", "a"]


def test_of_callers_who_used_nothing_the_one_that_waits_longest_is_next(world: World) -> None:
    world.wait("a", "a", "b")

    assert [world.take(), world.take()] == ["a", "b"]


def test_one_caller_gets_all_workers_but_those_that_are_kept(world: World) -> None:
    world.wait("a", "a", "a")

    assert [world.take(), world.take(), world.take()] == ["a", "a", None]
    world.wait("b", "b")
    assert [world.take(), world.take()] == ["b", None]
    world.end("a")
    assert world.take() is None, "two still run"
    world.end("a")
    assert world.take() in ("a", "b")


def test_a_heavy_caller_has_one_request_running_while_others_come(world: World) -> None:
    world.queue = Turns(9)
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 3.0)
    world.wait("a", "a", "b")

    assert [world.take(), world.take(), world.take()] == ["b", "a", None]
    world.end("a", 0.1)
    assert world.take() == "a"


def test_a_heavy_caller_who_is_alone_has_several(world: World) -> None:
    world.wait("a")
    world.take()
    world.end("a", 100.0)
    world.clock.now += 11

    world.wait("a", "a")
    assert [world.take(), world.take()] == ["a", "a"]


def test_what_a_caller_used_is_forgotten(world: World) -> None:
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 3.0)
    world.end("b")
    world.clock.now += 8
    world.wait("a", "a", "b")

    assert sorted([world.take() or "", world.take() or ""]) == ["a", "b"]
    world.end("b")
    assert world.take() == "a", "it is no heavy caller any more"


def test_a_long_request_of_a_heavy_caller_keeps_its_others_waiting_no_longer(world: World) -> None:
    world.wait("a", "b")
    assert [world.take(), world.take()] == ["a", "b"]
    world.end("a", 9.0)
    world.wait("a", "a")
    assert [world.take(), world.take()] == ["a", None]

    world.clock.now += 1
    world.end("b")
    assert world.take() == "a"


def test_a_request_that_was_admitted_to_read_its_body_runs_first(world: World) -> None:
    """It has a slot, and with it a worker."""
    world.wait("a", "a", "a")
    assert [world.take(), world.take(), world.take()] == ["a", "a", None]
    world.queue.append(Task("a", [Request(reads_body=True)]))

    assert world.queue
    assert world.queue.popleft().requests[0].reads_body


def test_a_request_that_is_stood_in_for_keeps_nobody_waiting(world: World) -> None:
    world.wait("a", "a", "a")
    assert [world.take(), world.take(), world.take()] == ["a", "a", None]

    with world.queue.stood_in(threading.Lock()):
        assert world.take() == "a"
    assert len(world.workers) == 3


def test_callers_of_whom_there_is_nothing_to_remember_are_forgotten(world: World) -> None:
    world.wait("a", "b")
    world.take()
    world.take()
    world.end("a", 0.5)
    world.queue.forget()
    assert list(world.queue._callers) == ["a", "b"]

    world.end("b")
    world.clock.now += 60
    world.queue.forget()
    assert list(world.queue._callers) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from("abc")),
        st.just(("take", "")),
        st.tuples(st.just("end"), st.floats(0, 3)),
        st.tuples(st.just("sleep"), st.floats(0, 12)),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_request_runs_in_the_end(steps: list[tuple[str, object]]) -> None:
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
