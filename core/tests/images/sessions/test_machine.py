"""Whatever clients, processes and stores do to a session, the image has the right bytes, or there is none."""

import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from calotype.model.errors import Incomplete, Overlap, SessionEnded, WrongDigest, WrongOffset
from calotype.model.sessions import SessionStatus
from calotype.stores import SourceBroken, StoreError, Unavailable
from calotype.testing import Trickle, pattern
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.readers import Announced
from core.tests.images.sessions.benches import CELL, Broken

DATA = pattern(5 * CELL + 123)
OFFSETS = st.one_of(st.sampled_from(range(0, len(DATA), CELL // 2)), st.integers(0, len(DATA) - 1))
SIZES = st.one_of(st.sampled_from([CELL // 2, CELL, 2 * CELL]), st.integers(1, 3 * CELL))


class Died(BaseException):
    """Raised where a process dies."""


class Machine(RuleBasedStateMachine):
    """One session, two processes, and a model: the set of positions whose bytes were acknowledged."""

    make = None
    kind = ""

    def __init__(self):
        super().__init__()
        self.bench = self.make(self.kind)
        self.other = self.bench.another_process()
        self.session = self.bench.begin(len(DATA))
        self.acknowledged = 0
        self.image = None

    def teardown(self):
        self.finish_everything()
        self.other.lifecycle.close()

    @property
    def is_open(self):
        return self.image is None

    def side(self, elsewhere):
        return self.other if elsewhere else self.bench

    @precondition(lambda self: self.is_open)
    @rule(size=SIZES, elsewhere=st.booleans(), digest=st.sampled_from([None, "right", "wrong"]))
    def continue_alone(self, size, elsewhere, digest):
        bench = self.side(elsewhere)
        offset = bench.state(self.session).offset
        data = DATA[offset : offset + size]
        digests = {"crc32": bytes(4) if digest == "wrong" else _crc32(data)} if digest else {}
        with contextlib.suppress(Overlap, WrongDigest, SourceBroken):
            assert bench.write(self.session, offset, data, digests=digests).offset >= offset + len(data)

    @precondition(lambda self: self.is_open)
    @rule(offset=OFFSETS, size=SIZES, elsewhere=st.booleans())
    def send_anywhere(self, offset, size, elsewhere):
        with contextlib.suppress(Overlap):
            self.side(elsewhere).write(self.session, offset, DATA[offset : offset + size], alone=False)

    @precondition(lambda self: self.is_open)
    @rule(size=SIZES, arrived=st.integers(0, 2 * CELL))
    def break_off(self, size, arrived):
        offset = self.bench.state(self.session).offset
        data = DATA[offset : offset + size][:arrived]
        with contextlib.suppress(SourceBroken, Overlap):
            self.bench.write(self.session, offset, Broken(data, SourceBroken("gone")))

    @precondition(lambda self: self.is_open)
    @rule(offset=st.integers(0, len(DATA)))
    def send_at_a_wrong_offset(self, offset):
        if offset != self.bench.state(self.session).offset:
            with pytest.raises(WrongOffset):
                self.bench.write(self.session, offset, Announced(Trickle(b"x")))

    @precondition(lambda self: self.is_open)
    @rule(offset=OFFSETS, size=SIZES, alone=st.booleans(), verb=st.sampled_from(["put_part", "add"]))
    def fail_in_the_store(self, offset, size, alone, verb):
        offset = self.bench.state(self.session).offset if alone else offset
        with _failing(self.bench.store, verb, Unavailable("memory", "away")):
            with contextlib.suppress(StoreError, Overlap):
                self.bench.write(self.session, offset, DATA[offset : offset + size], alone=alone)

    @precondition(lambda self: self.is_open)
    @rule(size=SIZES, verb=st.sampled_from(["put_part", "add"]), after=st.booleans())
    def die_while_writing(self, size, verb, after):
        offset = self.bench.state(self.session).offset
        with _failing(self.bench.store, verb, Died(), after=after):
            with contextlib.suppress(Died, Overlap):
                self.bench.write(self.session, offset, DATA[offset : offset + size])
        self.bench.lifecycle.close()
        self.bench = self.bench.another_process()

    @precondition(lambda self: self.is_open)
    @rule(elsewhere=st.booleans())
    def finish(self, elsewhere):
        with contextlib.suppress(Incomplete):
            self.image = self.side(elsewhere).finish(self.session)

    @rule()
    def sweep(self):
        self.other.lifecycle.sweep()

    @invariant()
    def nothing_acknowledged_is_lost(self):
        if self.is_open:
            offset = self.bench.state(self.session).offset
            assert offset >= self.acknowledged
            self.acknowledged = offset

    def finish_everything(self):
        while self.is_open and self.bench.state(self.session).status is SessionStatus.OPEN:
            offset = self.bench.state(self.session).offset
            there = self.bench.database.sessions.next_part(self.session.id, offset)
            end = len(DATA) if there is None else there.start
            self.bench.write(self.session, offset, DATA[offset:end])
        self.image = self.image or self.bench.finish(self.session)
        self.bench.assert_image(self.image, DATA)
        with pytest.raises(SessionEnded):
            self.bench.write(self.session, 0, b"x")


def _crc32(data):
    import zlib

    return zlib.crc32(data).to_bytes(4, "big")


@contextlib.contextmanager
def _failing(store, verb, error, *, after=False):
    """Let the next call of a method fail, before or after it has had its effect."""
    method, patch = getattr(store, verb), pytest.MonkeyPatch()

    def fail(*arguments):
        patch.undo()
        if after:
            method(*arguments)
        raise error

    patch.setattr(store, verb, fail)
    yield
    patch.undo()


@pytest.mark.parametrize("kind", ["free", "celled", "whole"])
def test_every_history_ends_with_the_right_image(make, kind, monkeypatch):
    monkeypatch.setattr(LeaseMonitor, "expired", lambda monitor, ends: set())
    machine = type("Machine", (Machine,), {"make": staticmethod(make), "kind": kind})
    machine.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
    machine.TestCase("runTest").runTest()
