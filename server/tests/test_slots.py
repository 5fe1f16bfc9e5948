"""Slots are shared fairly: the caller with the fewest gets the next one, and no caller can take all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from calotype_server.slots import Slots


def test_one_caller_may_have_all_slots_while_no_other_caller_comes():
    slots = Slots(3, 1)
    assert [slots.admit("a", f"a{number}") for number in range(4)] == [True, True, True, False]


def test_r1_d4_a_caller_without_a_slot_gets_one_of_the_reserved_slots():
    """r1-D4: however slow one caller's uploads are, another one's first upload runs at once."""
    slots = Slots(2, 1)
    for number in range(5):
        slots.admit("a", f"a{number}")
    assert slots.admit("b", "b0")
    assert not slots.admit("b", "b1")
    assert not slots.admit("c", "c0")


def test_r1_d4_the_next_slot_goes_to_the_caller_with_the_fewest():
    """r1-D4: the caller who came first with many requests is not served before the others."""
    slots = Slots(3, 0)
    for number in range(6):
        slots.admit("a", f"a{number}")
    slots.admit("b", "b0")
    slots.admit("c", "c0")
    assert [slots.leave("a"), slots.leave("a")] == ["b0", "c0"]
    assert [slots.leave("b"), slots.leave("c")] == ["a3", "a4"]


def test_callers_with_equally_many_slots_take_turns():
    slots = Slots(1, 0)
    slots.admit("a", "a0")
    for caller in ("b", "c"):
        for number in range(2):
            slots.admit(caller, f"{caller}{number}")
    order = [slots.leave("a")]
    while (following := slots.leave(order[-1][0])) is not None:
        order.append(following)
    assert order == ["b0", "c0", "b1", "c1"]


def test_a_slot_that_was_taken_beyond_the_limit_is_not_handed_on():
    slots = Slots(1, 0)
    slots.admit("a", "a0")
    slots.take("b")
    slots.admit("c", "c0")
    assert slots.leave("b") is None
    assert slots.leave("a") == "c0"


def test_each_request_has_its_own_waiting_time(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    slots = Slots(1, 0)
    slots.admit("a", "a0")
    slots.admit("a", "a1")
    now = 110.0
    slots.admit("a", "a2")
    slots.admit("b", "b0")
    now = 130.0
    assert slots.overdue(30) == ["a1"]
    now = 141.0
    assert sorted(slots.overdue(30)) == ["a2", "b0"]
    assert slots.leave("a") is None


class Machine(RuleBasedStateMachine):
    """Callers come and go in any order."""

    def __init__(self):
        super().__init__()
        self.slots, self.running, self.waiting, self.count = Slots(3, 2), [], [], 0

    @rule(caller=st.sampled_from("abcdef"))
    def come(self, caller):
        task = f"{caller}{self.count}"
        self.count += 1
        (self.running if self.slots.admit(caller, task) else self.waiting).append(task)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def go(self, data):
        task = data.draw(st.sampled_from(self.running))
        self.running.remove(task)
        following = self.slots.leave(task[0])
        if following is not None:
            self.waiting.remove(following)
            self.running.append(following)

    @invariant()
    def no_more_run_than_there_are_slots(self):
        assert self.slots.taken == len(self.running) <= 5

    @invariant()
    def nobody_waits_while_there_is_a_slot(self):
        assert not self.waiting or len(self.running) >= 3

    @invariant()
    def nobody_without_a_slot_waits_while_another_has_more_than_the_kept_ones_allow(self):
        with_none = {task[0] for task in self.waiting} - {task[0] for task in self.running}
        assert not with_none or len(self.running) == 5


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@given(st.lists(st.sampled_from("ab"), max_size=30))
def test_every_waiting_caller_gets_a_turn(callers):
    slots, ran = Slots(2, 1), []
    tasks = [f"{caller}{number}" for number, caller in enumerate(callers)]
    running = [task for task in tasks if slots.admit(task[0], task)]
    while running:
        ran.append(running.pop(0))
        following = slots.leave(ran[-1][0])
        if following is not None:
            running.append(following)
    assert sorted(ran) == sorted(tasks)
