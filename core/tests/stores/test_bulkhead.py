"""Bulkheads: a driver that hangs occupies its own slots and threads, and no others."""

import contextlib
import io
import logging
import threading
import time
from functools import partial

import pytest

from calotype.stores import BadLocation, SourceBroken, Stored, StoreError, Unavailable, daemon_threads
from calotype.stores import bulkhead as bulkheads
from calotype.stores.bulkhead import STAND_IN, Bounds, Bulkhead
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import Busy, Overdue
from calotype.stores.measured import Expectations
from calotype.testing import MemoryStore, Trickle, pattern

DATA = pattern(5000)
#: Seconds after which a test's driver counts as one that hangs.
SOON = 0.2
QUICK = Bounds(call_timeout=SOON, stall_timeout=SOON, max_calls=2, max_uploads=2, max_downloads=2)


class Hanging(MemoryStore):
    """A MemoryStore that hangs in one method, and counts the calls in it, until its gate opens."""

    def __init__(self, *methods: str):
        super().__init__("hanging", MemoryStore.Options())
        self.gate = threading.Event()
        self.inside = threading.Semaphore(0)
        self.names: list[str] = []
        for method in methods:
            setattr(self, method, partial(self._hang, getattr(self, method)))

    def _hang(self, method, *arguments):
        self.names.append(threading.current_thread().name)
        self.inside.release()
        assert self.gate.wait(30)
        return method(*arguments)


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Shorten all intervals and timeouts."""
    for name, seconds in (
        ("QUEUE", SOON),
        ("LOOK", 0.02),
        ("STALLED", 0.05),
        ("BRIEF", 0.02),
        ("CLOSING", SOON),
    ):
        monkeypatch.setattr(bulkheads, name, seconds)


@pytest.fixture
def hanging():
    """hanging(*methods, bounds): a checked store over a driver that hangs there until the test ends."""
    with contextlib.ExitStack() as stack:

        def make(*methods: str, bounds: Bounds = QUICK) -> CheckedStore:
            driver = Hanging(*methods)
            stack.callback(driver.gate.set)
            return CheckedStore(driver, bulkhead=Bulkhead("hanging", bounds))

        yield make


def wait_until(condition) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def put(store: CheckedStore, key: str = "k") -> str:
    return store.add(key, Trickle(DATA), Expectations(length=len(DATA))).location


CALLS = {
    "size": lambda store: store.size("blob:k"),
    "delete": lambda store: store.delete("blob:k"),
    "discard": lambda store: store.discard("k"),
    "register": lambda store: store.register("memory:x"),
    "check": lambda store: store.check(),
    "get": lambda store: store.get("blob:k"),
    "add": put,
}


@pytest.mark.parametrize("method", CALLS)
def test_a_call_that_hangs_is_abandoned_after_its_timeout(hanging, method):
    """r1-D3"""
    store = hanging(method)
    with pytest.raises(Unavailable, match=r"^store 'hanging': it has not answered for 0.2 seconds$"):
        CALLS[method](store)

    assert store.driver.names == ["store-hanging"]  # no thread of the caller's is held by it


@pytest.mark.parametrize("method", CALLS)
def test_when_all_slots_hang_further_calls_are_refused_at_once_until_a_driver_returns(hanging, method):
    """r1-D3"""
    store = hanging(method)
    for _ in range(2):
        with pytest.raises(Unavailable, match="has not answered"):
            CALLS[method](store)
    began = time.monotonic()
    if method == "get":
        with pytest.raises(Unavailable, match=r"it does not answer: all 2 of its slots for calls"):
            store.size("blob:k")
    with pytest.raises(Unavailable, match=r"does not answer: all 2 of its slots for (calls|uploads)"):
        CALLS[method](store)

    assert time.monotonic() - began < SOON
    assert store.bulkhead.hanging == 2
    store.driver.gate.set()
    wait_until(lambda: store.bulkhead.hanging == 0)
    put(store, "other")
    assert store.size("blob:other") == len(DATA)


def test_downloads_that_wait_for_their_clients_make_a_store_busy(hanging):
    store = hanging()
    location = put(store)
    readers = [store.get(location) for _ in range(2)]
    with pytest.raises(Busy) as refused:
        store.get(location)

    assert str(refused.value) == (
        "store 'hanging': it is busy: all 2 of its slots for downloads (max_downloads) are in use; "
        "try again later"
    )
    assert store.size(location) == len(DATA)
    with pytest.raises(Busy):
        store.check_here()
    readers[0].close()
    store.check_here()
    store.get(location).close()


def test_the_refusal_counts_the_downloads_that_hang(hanging):
    store = hanging()
    store.driver.get = lambda location: Stuck(store.driver.gate)
    readers = [store.get("blob:k", size=5) for _ in range(2)]
    with pytest.raises(Overdue):
        readers[0].read(5)
    with pytest.raises(Busy, match="are in use, 1 of them by calls that hang; try again later"):
        store.get("blob:k")
    assert store.bulkhead.hanging == 1


def test_a_store_does_not_answer_if_all_reads_wait_for_it(hanging):
    store = hanging(bounds=QUICK.model_copy(update={"stall_timeout": 30}))
    store.driver.get = lambda location: Stuck(store.driver.gate)
    readers = [store.get("blob:k", size=5) for _ in range(2)]
    threads = [threading.Thread(target=reader.read, args=(5,)) for reader in readers]
    for thread in threads:
        thread.start()
    with pytest.raises(Overdue, match="it does not answer: all 2 of its slots for downloads"):
        store.get("blob:k")
    store.driver.gate.set()
    for thread in threads:
        thread.join()


def test_a_waiting_call_gets_the_slot_that_becomes_free(hanging):
    store = hanging("size", bounds=QUICK.model_copy(update={"max_calls": 1, "call_timeout": 10}))
    put(store)
    got: list[int | None] = []
    threads = [threading.Thread(target=lambda: got.append(store.size("blob:k"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert store.driver.inside.acquire(timeout=10)
    store.driver.gate.set()
    for thread in threads:
        thread.join()

    assert got == [len(DATA)] * 2


def test_bytes_stored_after_the_upload_was_abandoned_are_removed(hanging):
    """r1-D3: no record refers to these bytes any more."""
    store = hanging()
    gate = store.driver.gate

    def add(key, source, size=None):
        stored = MemoryStore.add(store.driver, key, source, size)
        gate.wait(30)
        return stored

    store.driver.add = add
    with pytest.raises(Unavailable):
        put(store)
    assert len(list(store.blobs())) == 1
    gate.set()
    wait_until(lambda: list(store.blobs()) == [])


def test_a_driver_that_returns_late_reads_no_more_of_the_source(hanging):
    """r1-D3: the connection that it would read from has another owner by then."""
    store, seen = hanging(), []
    source = Trickle(DATA)

    def add(key, given, size=None):
        given.read(10)
        store.driver.gate.wait(30)
        try:
            given.read(10)
        except SourceBroken as error:
            seen.append(error)
            raise

    store.driver.add = add
    with pytest.raises(Unavailable):
        store.add("k", source)
    left = source.given
    store.driver.gate.set()
    wait_until(lambda: seen)

    assert source.given == left


def test_an_upload_that_waits_for_its_client_does_not_hang(hanging):
    class Slow(Trickle):
        def read(self, size=-1, /):
            time.sleep(SOON / 4)
            return super().read(2000)

    store = hanging(bounds=QUICK.model_copy(update={"stall_timeout": SOON / 2}))
    assert store.add("k", Slow(DATA), Expectations()).size == len(DATA)


def test_another_worker_replaces_the_waiting_one_only_while_a_driver_hangs(hanging):
    """r1-D3: the waiting worker continues when the driver does."""
    store, log = hanging("add", bounds=QUICK.model_copy(update={"stall_timeout": 10})), []

    @contextlib.contextmanager
    def release_worker():
        log.append("in")
        yield
        log.append("out")

    token = STAND_IN.set(release_worker)
    try:
        timer = threading.Timer(SOON, store.driver.gate.set)
        timer.start()
        put(store)
        assert log == ["in", "out"]
        store.check()
        assert log == ["in", "out"]
    finally:
        STAND_IN.reset(token)


class Stuck(io.RawIOBase):
    """A reader that hangs in `read` until its gate opens, and notes that it was closed."""

    def __init__(self, gate: threading.Event):
        self.gate = gate

    def read(self, size=-1, /):
        self.gate.wait(30)
        return b"x"


def test_a_download_that_hangs_is_abandoned_and_keeps_its_slot_until_the_driver_returns(hanging):
    """r1-D3"""
    store = hanging()
    opened: list[Stuck] = []

    def get(location, offset=0, length=None):
        opened.append(Stuck(store.driver.gate))
        return opened[-1]

    store.driver.get = get
    for _ in range(2):
        reader = store.get("blob:k", size=5)
        with pytest.raises(Unavailable, match="has not answered for"):
            reader.read(5)
        reader.close()
        reader.close()
    with pytest.raises(Unavailable, match="does not answer: all 2 of its slots for downloads"):
        store.get("blob:k")
    assert not any(one.closed for one in opened)

    store.driver.gate.set()
    wait_until(lambda: all(one.closed for one in opened))
    store.get("blob:k").close()


def test_a_reader_that_a_driver_returns_too_late_is_closed(hanging):
    store, opened = hanging("get"), []
    real = store.driver.get

    def get(location):
        opened.append(io.BytesIO(b"late"))
        real(location)
        return opened[0]

    store.driver.get = get
    location = put(store)
    with pytest.raises(Unavailable):
        store.get(location)
    store.driver.gate.set()
    wait_until(lambda: opened[0].closed)


def test_local_files_are_opened_in_the_callers_thread_but_only_by_a_few_at_a_time(hanging):
    """r1-D3: a disk that hangs blocks only these few workers."""
    store = hanging("get", bounds=QUICK.model_copy(update={"call_timeout": 10, "max_calls": 8}))
    local = CheckedStore(store.driver, bulkhead=store.bulkhead)
    local.keeps_files = True
    put(store)
    threads = [threading.Thread(target=local.get, args=("blob:k",), name="caller") for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert store.driver.inside.acquire(timeout=10)
    store.driver.gate.set()
    for thread in threads:
        thread.join()

    assert sorted(store.driver.names) == ["caller"] * bulkheads.HERE + ["store-hanging"] * 2


def test_a_uri_is_checked_while_sources_hang(hanging):
    """r1-D5: an import is accepted although other sources of the same store do not answer."""
    store = hanging("register")
    for _ in range(2):
        with pytest.raises(Unavailable):
            store.register("memory:x")
    store.check_uri("memory:x")
    with pytest.raises(BadLocation):
        store.check_uri("other:x")


def test_closing_does_not_wait_for_a_driver_that_hangs(hanging):
    store = hanging("close")
    began = time.monotonic()
    store.close()

    assert time.monotonic() - began < 5


def test_a_driver_that_exits_in_a_call_fails_like_one_that_raises(hanging):
    """r1-D7: nothing that a driver does ends the thread that serves a client."""
    store = hanging()

    def exit_now():
        raise SystemExit(3)

    store.driver.check = exit_now
    with pytest.raises(StoreError, match="its driver failed with SystemExit"):
        store.check()


def test_idle_threads_end_by_themselves(monkeypatch):
    monkeypatch.setattr(daemon_threads, "_IDLE", 0.05)
    bulkhead = Bulkhead("brief")
    assert [bulkhead.call(lambda: 1) for _ in range(20)] == [1] * 20
    wait_until(lambda: "store-brief" not in [thread.name for thread in threading.enumerate()])
    assert bulkhead.call(lambda: 2) == 2


def test_each_call_gets_its_own_outcome(hanging):
    """Many threads use one bulkhead, and each gets the result of its own call."""
    bulkhead, wrong = Bulkhead("many", Bounds(max_calls=3)), []

    def ask(number: int) -> None:
        for turn in range(50):
            if bulkhead.call(lambda: (number, turn)) != (number, turn):  # noqa: B023
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_late_upload_whose_bytes_cannot_be_removed_is_logged(hanging, caplog):
    caplog.set_level(logging.WARNING)
    store = hanging()
    real, gate = store.driver.add, store.driver.gate

    def add(key, source, size=None):
        stored = real(key, source, size)
        gate.wait(30)
        return stored

    def delete(location):
        raise Unavailable("hanging", "away")

    store.driver.add, store.driver.delete = add, delete
    with pytest.raises(Unavailable):
        put(store)
    gate.set()
    wait_until(lambda: "could not be cleared away" in caplog.text)
    assert list(store.blobs())


def test_an_upload_returns_the_receipt_of_the_driver(hanging):
    store = hanging()
    store.driver.add = lambda key, source, size=None: Stored("blob:z", len(source.read(10_000)))
    assert store.add("k", io.BytesIO(b"abc")).location == "blob:z"
