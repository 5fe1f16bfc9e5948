"""Uploads in parts: requests that come late, processes that die, and lines that a crash has cut short."""

import os
import threading

import pytest

from calotype.stores import BlobNotFound, Piece, Unavailable
from calotype.testing import Paused, Trickle, pattern
from calotype_store_file import parts as parts_module
from plugins.store_file.tests.stores import KEY, file_store

DATA = pattern(3000)


def put(store, token, start, end, data=DATA, number=None):
    piece = Piece(number or start + 1, start, end - start)
    return store.put_part(KEY, token, piece, Trickle(data[start:end]))


def read(store, location):
    with store.get(location) as reader:
        return reader.read()


def files(store):
    return sorted(store.options.path.glob(".incoming-*"))


def test_a_part_that_comes_late_never_changes_an_image(store, monkeypatch):
    monkeypatch.setattr(parts_module, "_PATIENCE", 0.05)
    token = store.begin(KEY, len(DATA))
    begun, go = threading.Event(), threading.Event()
    receipts = [put(store, token, 0, 3000)]

    def wait():
        begun.set()
        assert go.wait(10)

    late = threading.Thread(
        target=lambda: store.put_part(KEY, token, Piece(1, 0, 3000), Paused(bytes(3000), 0, wait))
    )
    late.start()
    assert begun.wait(10)
    with pytest.raises(Unavailable, match="being written"):
        store.finish(KEY, token, receipts)
    go.set()
    late.join(10)

    with pytest.raises(BlobNotFound):
        store.finish(KEY, token, receipts)


def test_a_part_is_refused_once_the_upload_is_finished(store):
    token = store.begin(KEY)
    location = store.finish(KEY, token, [put(store, token, 0, 3000)]).location
    with pytest.raises(BlobNotFound):
        put(store, token, 0, 10, bytes(10))

    assert read(store, location) == DATA


def test_a_process_that_dies_after_the_link_leaves_an_upload_that_can_be_finished_again(store, monkeypatch):
    token = store.begin(KEY)
    receipts = [put(store, token, 0, 3000)]
    with monkeypatch.context() as dying:
        dying.setattr(parts_module.PartedFile, "remove", lambda upload: None)
        location = store.finish(KEY, token, receipts).location
    assert len(files(store)) == 2
    with pytest.raises(BlobNotFound):
        put(store, token, 0, 3000, bytes(3000))

    assert store.finish(KEY, token, receipts).location == location
    assert read(store, location) == DATA
    assert files(store) == []


def test_the_same_bytes_may_be_written_twice_at_once(store):
    token = store.begin(KEY)
    first = put(store, token, 0, 3000)
    second = put(store, token, 0, 3000)

    assert first == second
    assert read(store, store.finish(KEY, token, [first]).location) == DATA


def test_other_bytes_in_an_overlapping_part_are_noticed(store):
    token = store.begin(KEY)
    receipts = [put(store, token, 0, 2000), put(store, token, 2000, 3000)]
    put(store, token, 1000, 2500, bytes(3000))
    with pytest.raises(BlobNotFound):
        store.finish(KEY, token, receipts)


def test_a_part_whose_writing_was_interrupted_is_missing(store):
    token = store.begin(KEY)
    receipt = put(store, token, 0, 3000)

    class Died(BaseException):
        pass

    def die():
        raise Died

    with pytest.raises(Died):
        store.put_part(KEY, token, Piece(1, 0, 3000), Paused(bytes(3000), 1000, die))
    with pytest.raises(BlobNotFound):
        store.finish(KEY, token, [receipt])


def test_a_line_that_a_crash_has_cut_short_does_not_count(store):
    token = store.begin(KEY)
    receipt = put(store, token, 0, 3000)
    (log,) = (path for path in files(store) if path.name.endswith("1"))
    with open(log, "ab") as file:
        file.write(b"\n1 0 30")

    assert list(store.list_parts(KEY, token)) == [receipt]
    assert read(store, store.finish(KEY, token, [put(store, token, 0, 3000)]).location) == DATA


def test_zeros_use_no_space_in_whatever_order_they_come(store):
    size = 8 << 20
    token = store.begin(KEY, 2 * size)
    receipts = []
    for start in (size, 0):
        piece = Piece(start + 1, start, size)
        receipts.append(store.put_part(KEY, token, piece, Trickle(bytes(size))))
    stored = store.finish(KEY, token, receipts)

    path = store.options.path / store.file_path(stored.location)
    assert path.stat().st_size == 2 * size
    assert path.stat().st_blocks * 512 < 1 << 20


def test_zeros_replace_what_was_written_before(store):
    token = store.begin(KEY)
    put(store, token, 0, 3000)
    receipt = put(store, token, 0, 3000, bytes(3000))

    assert read(store, store.finish(KEY, token, [receipt]).location) == bytes(3000)


def test_a_part_that_exceeds_the_quota_is_refused(tmp_path):
    store = file_store(tmp_path / "images", quota=2000, min_free=0)
    store.create()
    token = store.begin(KEY)
    put(store, token, 0, 1000)
    with pytest.raises(Exception, match="quota"):
        put(store, token, 1000, 3000)


@pytest.mark.parametrize("token", ["", "x", "../../etc/passwd", "0" * 15, "0" * 17, "A" * 16])
def test_a_token_of_another_form_names_no_upload(store, token):
    with pytest.raises(BlobNotFound):
        put(store, token, 0, 10)
    store.abort(KEY, token)

    assert sorted(os.listdir(store.options.path)) == [".calotype-store"]
