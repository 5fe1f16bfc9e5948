"""The slots of a block store: what uses them, when they are free again, and what other processes see."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calotype_store_blocks import BlockStore

from calotype.stores import (
    BlobChanged,
    BlobNotFound,
    ConfigurationError,
    Extent,
    Misconfigured,
    StoreError,
    StoreFull,
    StoreInfo,
    TooLarge,
)
from calotype.stores.options import read_options
from calotype.testing import Paused, Trickle, assert_same, pattern, read_all

SLOT, SLOTS = 4096, 8
SOURCES = Path(__file__).parents[1] / "src"

#: The begin of each program for another process: a store in the directory that its argument names.
STORE = f"""
import io, sys
from pathlib import Path
from calotype_store_blocks import BlockStore
store = BlockStore("blocks", BlockStore.Options(path=Path(sys.argv[1]), slot_size={SLOT}, slots={SLOTS}))
"""
READS = """
reader = store.get("blocks:read.1")
sys.stdout.buffer.write(reader.read(1))
sys.stdout.flush()
sys.stdin.read(1)
while block := reader.read(1 << 20):
    sys.stdout.buffer.write(block)
sys.stdout.flush()
sys.stdin.read()
"""
STOPS = f"""
class Stops(io.BytesIO):
    def read(self, size=-1):
        if self.tell() >= 2 * {SLOT}:
            print("x", end="", flush=True)
            sys.stdin.read()
        return super().read(size)
store.add("stopped.1", Stops(bytes([1]) * 3 * {SLOT}))
"""
ADDS = f"""
from calotype.testing import pattern
for number in range(20):
    key = f"add.{{sys.argv[2]}}.{{number}}"
    store.add(key, io.BytesIO(pattern({SLOT} + 7, seed=int(sys.argv[2]))))
    if number < 19:
        store.delete(f"blocks:{{key}}")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blocks"


@pytest.fixture
def store(folder: Path) -> BlockStore:
    """A store of eight slots of 4 KiB."""
    driver = BlockStore("blocks", BlockStore.Options(path=folder, slot_size=SLOT, slots=SLOTS))
    driver.create()
    return driver


@contextlib.contextmanager
def process(program: str, folder: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Another process with a store of its own, killed at the end of the block."""
    command = [sys.executable, "-c", STORE + program, str(folder), *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env={"PYTHONPATH": str(SOURCES)}) as child:
        try:
            yield child
        finally:
            child.kill()


def add(store: BlockStore, key: str, slots: int) -> bytes:
    data = pattern(slots * SLOT, seed=slots)
    store.add(key, io.BytesIO(data), len(data))
    return data


def free(store: BlockStore) -> int:
    return (store.info().free or 0) // SLOT


# Room.


def test_the_room_is_known_to_the_slot(store: BlockStore) -> None:
    add(store, "some.1", 3)
    store.add("less.1", io.BytesIO(b"x"))
    assert store.info() == StoreInfo(SLOTS * SLOT, (SLOTS - 4) * SLOT, SLOTS * SLOT)


@pytest.mark.parametrize("announced", [True, False])
def test_a_blob_that_does_not_fit_now_is_another_error_than_one_that_never_fits(
    store: BlockStore, announced: bool
) -> None:
    add(store, "some.1", 1)
    _refused(store, StoreFull, SLOTS * SLOT, announced)
    _refused(store, TooLarge if announced else StoreFull, SLOTS * SLOT + 1, announced)
    store.delete("blocks:some.1")
    _refused(store, TooLarge, SLOTS * SLOT + 1, announced)
    add(store, "more.1", SLOTS)


def _refused(store: BlockStore, error: type[StoreError], size: int, announced: bool) -> None:
    """Assert that a blob of this size is refused with this error, and leaves no slot in use."""
    before = free(store)
    with pytest.raises(error) as caught:
        store.add("more.1", Trickle(pattern(size)), size if announced else None)
    assert type(caught.value) is error
    assert free(store) == before


def test_a_blob_that_never_fits_is_refused_before_its_first_byte(store: BlockStore) -> None:
    source = Trickle(pattern(10))
    with pytest.raises(TooLarge):
        store.add("more.1", source, SLOTS * SLOT + 1)
    assert source.given == 0


def test_a_store_without_a_free_slot_reports_it_and_can_be_read_and_emptied(store: BlockStore) -> None:
    data = add(store, "all.1", SLOTS)
    with pytest.raises(StoreFull):
        store.check()
    assert_same(read_all(store.get("blocks:all.1"), limit=len(data)), data)
    store.delete("blocks:all.1")
    store.check()


# Zeros.


def test_zeros_use_no_slot_and_are_reported_as_holes(store: BlockStore) -> None:
    data = bytes(2 * SLOT) + pattern(SLOT + 1) + bytes(3 * SLOT)
    store.add("zeros.1", Trickle(data), len(data))
    assert free(store) == SLOTS - 2
    assert list(store.extents("blocks:zeros.1", len(data))) == [
        Extent(0, 2 * SLOT, is_data=False),
        Extent(2 * SLOT, 2 * SLOT),
        Extent(4 * SLOT, 2 * SLOT + 1, is_data=False),
    ]
    assert_same(read_all(store.get("blocks:zeros.1"), limit=len(data)), data)
    assert_same(read_all(store.get("blocks:zeros.1", SLOT + 5), limit=len(data)), data[SLOT + 5 :])


def test_a_slot_that_was_used_before_shows_no_old_bytes(store: BlockStore) -> None:
    add(store, "old.1", SLOTS)
    store.delete("blocks:old.1")
    store.add("new.1", io.BytesIO(b"x" + bytes(SLOT)))
    assert_same(read_all(store.get("blocks:new.1"), limit=SLOT + 1), b"x" + bytes(SLOT))


def test_extents_of_a_blob_of_another_size_are_refused(store: BlockStore) -> None:
    add(store, "some.1", 1)
    with pytest.raises(BlobChanged):
        list(store.extents("blocks:some.1", SLOT + 1))


# Slots in use.


def test_a_slot_that_another_process_reads_is_not_reused(store: BlockStore, folder: Path) -> None:
    data = add(store, "read.1", SLOTS)
    with process(READS, folder) as reader:
        given = reader.stdout.read(1)
        store.delete("blocks:read.1")
        with pytest.raises(BlobNotFound):
            store.get("blocks:read.1")
        with pytest.raises(StoreFull):
            add(store, "next.1", 1)
        reader.stdin.write(b"x")
        reader.stdin.flush()
        assert_same(given + reader.stdout.read(len(data) - 1), data)
        assert free(store) == 0
    assert free(store) == SLOTS
    add(store, "next.1", SLOTS)


def test_a_slot_is_reused_when_the_last_of_its_readers_is_closed(store: BlockStore) -> None:
    data = add(store, "read.1", 2)
    readers = [store.get("blocks:read.1") for _ in range(2)]
    store.delete("blocks:read.1")
    readers[0].close()
    assert free(store) == SLOTS - 2
    assert_same(read_all(readers[1], limit=len(data)), data)
    assert free(store) == SLOTS


def test_closing_another_reader_frees_nothing(store: BlockStore) -> None:
    """With locks that belong to the process, closing any file of it would drop them all."""
    data = add(store, "read.1", 2)
    add(store, "other.1", 1)
    reader = store.get("blocks:read.1")
    store.get("blocks:other.1").close()
    store.delete("blocks:read.1")
    assert free(store) == SLOTS - 3
    assert_same(read_all(reader, limit=len(data)), data)


# Uploads that end early.


def test_a_killed_upload_is_an_attempt_until_it_is_discarded(store: BlockStore, folder: Path) -> None:
    with process(STOPS, folder) as writer:
        assert writer.stdout.read(1) == b"x"
    assert [(attempt.location, attempt.size) for attempt in store.attempts()] == [("stopped.1", 2 * SLOT)]
    assert list(store.blobs()) == []
    assert free(store) == SLOTS - 2
    store.discard("stopped.1")
    assert list(store.attempts()) == []
    assert free(store) == SLOTS


@pytest.mark.parametrize("written", [2, 3])
def test_a_discarded_upload_that_still_runs_ends_without_harm(store: BlockStore, written: int) -> None:
    """Its slots are not given to others before it has ended, even if it has written all of them."""
    others = SLOTS - written
    data: list[bytes] = []

    def discard() -> None:
        store.discard("late.1")
        data.append(add(store, "other.1", others))
        with pytest.raises(StoreFull):
            add(store, "third.1", 1)

    with pytest.raises(StoreError, match="discarded"):
        store.add("late.1", Paused(pattern(3 * SLOT), written * SLOT, discard))
    assert_same(read_all(store.get("blocks:other.1"), limit=others * SLOT), data[0])
    assert free(store) == written
    with pytest.raises(BlobNotFound):
        store.get("blocks:late.1")


def test_several_processes_share_the_slots(store: BlockStore, folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(process(ADDS, folder, number)) for number in range(3)]
        assert [child.wait(120) for child in children] == [0, 0, 0]
    for number in range(3):
        reader = store.get(f"blocks:add.{number}.19")
        assert_same(read_all(reader, limit=SLOT + 7), pattern(SLOT + 7, seed=number))
    assert free(store) == SLOTS - 6


# The place.


@pytest.mark.parametrize("changed", [{"slot_size": 2 * SLOT}, {"slots": SLOTS + 1}])
def test_a_place_of_another_shape_is_refused(
    store: BlockStore, folder: Path, changed: dict[str, int]
) -> None:
    options = {"path": str(folder), "slot_size": str(SLOT), "slots": str(SLOTS)}
    options |= {name: str(value) for name, value in changed.items()}
    other = BlockStore("blocks", read_options("blocks", BlockStore.Options, options))
    for call in (other.create, other.check, other.info):
        with pytest.raises(Misconfigured, match="slot_size or slots"):
            call()


@pytest.mark.parametrize("lost", ["slots", "index.sqlite"])
def test_a_place_that_lacks_a_file_is_not_taken_for_an_empty_one(
    store: BlockStore, folder: Path, lost: str
) -> None:
    add(store, "some.1", 1)
    (folder / lost).rename(folder / "away")
    for call in (store.check, store.info, lambda: list(store.blobs()), lambda: store.size("blocks:some.1")):
        with pytest.raises(StoreError) as caught:
            call()
        assert not isinstance(caught.value, BlobNotFound)
        assert str(folder) not in str(caught.value)
    assert not (folder / lost).exists()


@pytest.mark.parametrize("options", [{"path": "here"}, {"slot_size": "1"}, {"slots": "0"}])
def test_a_wrong_option_stops_the_start(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        read_options("blocks", BlockStore.Options, {"path": "/blocks", "slots": "1", **options})
