"""Digests equal hashlib's for any bytes in any blocks, and their threads end."""

import hashlib
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import hashing
from calotype.stores.hashing import BEHIND, INLINE, NICENESS, Digests
from calotype.testing import pattern

ALGORITHMS = ("sha256", "md5")
LARGE = pattern(INLINE + 70_000)


def expected(data: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, data).hexdigest() for name in ALGORITHMS}


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("digest-")]


@given(blocks=st.lists(st.binary(max_size=40)), inline=st.integers(0, 100))
def test_digests_of_any_split_are_those_of_the_whole(blocks, inline):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "INLINE", inline)  # so that threads begin early, late or never
        with Digests(ALGORITHMS) as digests:
            for block in blocks:
                digests.update(block)
            found = digests.hexdigests()

    assert found == expected(b"".join(blocks))


@pytest.mark.parametrize("size", [INLINE - 1, INLINE, INLINE + 1, len(LARGE)])
@pytest.mark.parametrize("step", [65_536, 1 << 20])
def test_digests_are_right_just_below_and_above_the_size_at_which_threads_start(size, step):
    data = LARGE[:size]
    with Digests(ALGORITHMS) as digests:
        for begin in range(0, size, step):
            digests.update(data[begin : begin + step])

        assert digests.hexdigests() == expected(data)


def test_threads_start_only_for_large_streams():
    with Digests(ALGORITHMS) as digests:
        digests.update(LARGE[:INLINE])
        assert running() == []
        digests.update(b"x")
        assert {thread.name for thread in running()} == {"digest-sha256", "digest-md5"}
        digests.hexdigests()

    assert running() == []


def test_threads_end_when_the_stream_fails():
    def work():
        with Digests(ALGORITHMS) as digests:
            digests.update(LARGE)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        work()

    assert running() == []


def test_digests_can_be_read_twice_and_continued():
    with Digests(ALGORITHMS) as digests:
        digests.update(LARGE)
        assert digests.hexdigests() == digests.hexdigests() == expected(LARGE)
        digests.update(b"more")

        assert digests.hexdigests() == expected(LARGE + b"more")
    assert running() == []


def test_without_digests_no_thread_is_started():
    with Digests(()) as digests:
        digests.update(LARGE)

        assert digests.hexdigests() == {}
        assert running() == []


class Stuck:
    """A digest that waits until the test lets it continue."""

    def __init__(self):
        self.go_on = threading.Event()

    def update(self, block):
        self.go_on.wait(10)


def test_the_copy_waits_for_a_digest_that_is_too_many_blocks_behind(monkeypatch):
    stuck = Stuck()
    monkeypatch.setattr(hashing.hashlib, "new", lambda name, **_: stuck)
    with Digests(["md5"]) as digests:
        digests._seen = INLINE
        for _ in range(BEHIND):
            digests.update(b"x")
        waiting = threading.Thread(target=digests.update, args=(b"one more",))
        waiting.start()
        waiting.join(0.2)
        waited = waiting.is_alive()
        stuck.go_on.set()
        waiting.join(10)

    assert waited
    assert not waiting.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_only_the_digest_threads_have_a_higher_niceness():
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with Digests(ALGORITHMS) as digests:
        for _ in range(BEHIND + 4):  # more than can wait: each thread has begun
            digests.update(bytes(INLINE))
        nice = {os.getpriority(os.PRIO_PROCESS, thread.native_id) for thread in running()}

    assert nice == {max(before, NICENESS)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
