"""Uploading an image: records, refusals and races."""

import contextlib
import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.database.errors import DatabaseUnavailable
from calotype.model.change import Change
from calotype.model.errors import ImageGone, NotQueued, TakenOver, UnknownStore
from calotype.model.fields import ImageFields
from calotype.model.images import LocationState
from calotype.stores import (
    BlobChanged,
    SourceBroken,
    SourceMismatch,
    SourceTooLarge,
    StoreError,
    Unavailable,
    WritableStore,
)
from calotype.testing import Exploding, Paused, Short, Trickle, pattern
from calotype.transfers.inspection import InspectorsUnavailable
from calotype.transfers.readers import Announced
from core.tests.images.verbs import (
    ACTIVE,
    DATA,
    DELETED,
    KILLED,
    QUEUED,
    Interrupted,
    bring,
    sweep_during_the_next_add,
)
from tests.support.workbench import make_bench, make_settings


def test_the_attempt_is_in_the_database_before_the_first_byte_moves(bench):
    seen = []
    source = Paused(DATA, 0, lambda: seen.extend(bench.locations()))
    image = bench.upload(source)

    assert [(row.state, row.key) for row in seen] == [(LocationState.INTENDED, image.location.key)]


@pytest.mark.parametrize("verb", ["upload", "stage"])
@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), TypeError("hunter2")])
def test_an_error_of_our_own_readers_is_not_blamed_on_the_source(bench, verb, error):
    """r1-H3: the caller gets the original error, and the upload leaves nothing."""
    image, source = bench.reserve(), Exploding(DATA, error)
    with pytest.raises(type(error)) as caught:
        bring(bench, verb, image, source)

    assert caught.value is error
    assert bench.status(image.id) is QUEUED
    assert "hunter2" not in bench.row(image.id).status_reason
    assert (bench.blobs, bench.locations()) == ({}, [])


@pytest.mark.parametrize("error", [RuntimeError("password=hunter2"), Interrupted("hunter2")])
@pytest.mark.parametrize("late", [False, True])
def test_an_error_of_a_driver_kills_the_image_and_its_text_is_not_shown(bench, error, late):
    bench.store.failing["add"], bench.store.late = error, late
    with pytest.raises((StoreError, Interrupted)):
        bench.upload(DATA)
    (image_id,) = bench.images()
    reason = bench.row(image_id).status_reason

    assert bench.status(image_id) is KILLED
    assert type(error).__name__ in reason
    assert "hunter2" not in reason
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_bytes_that_cannot_be_removed_stay_recorded_as_pending_delete(bench):
    bench.store.failing |= {"add": Unavailable("memory", "away"), "discard": Unavailable("memory", "away")}
    bench.store.late = True
    with pytest.raises(Unavailable):
        bench.upload(DATA)
    (row,) = bench.locations()

    assert row.state == LocationState.PENDING_DELETE
    assert set(bench.blobs) == {f"blob:{row.key}"}


def test_a_second_upload_is_refused_and_its_metadata_is_ignored(bench):
    image = bench.upload(DATA, ImageFields(fields={"name": "first"}))
    source = Trickle(pattern(100, seed=9))
    with pytest.raises(NotQueued):
        bench.lifecycle.upload(
            Change(bench.caller, ImageFields(fields={"name": "second"}), image), Announced(source)
        )
    after = bench.database.find(image.id)

    assert source.given == 0
    assert after == image
    assert bench.read(after) == DATA


def test_an_uploaded_image_has_its_size_and_digests(bench):

    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA), len(DATA)))

    assert image.status is ACTIVE
    assert image.size == len(DATA)
    assert image.checksum == hashlib.md5(DATA).hexdigest()
    assert (image.os_hash_algo, image.os_hash_value) == ("sha256", hashlib.sha256(DATA).hexdigest())
    assert image.store == "memory"
    assert bench.read(image) == DATA


def test_each_attempt_has_a_key_of_its_own(bench):
    """A process that still writes for an earlier attempt then cannot touch the bytes of a later one."""
    image, keys = bench.reserve(), []

    def note_and_break():
        keys.extend(row.key for row in bench.locations())
        raise SourceBroken("gone")

    for _ in range(2):
        with pytest.raises(SourceBroken):
            bring(bench, "upload", image, Paused(DATA, 1000, note_and_break))
    bring(bench, "upload", image, Trickle(DATA))
    keys.append(bench.database.find(image.id).location.key)

    assert len(keys) == len(set(keys)) == 3
    assert all(key.startswith(f"{image.id}.") for key in keys)


def test_no_transaction_is_open_while_bytes_move(bench):
    def write_elsewhere():
        with contextlib.closing(bench.raw()) as raw:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("COMMIT")

    source = Paused(DATA, 1000, write_elsewhere)

    assert bench.upload(source).status is ACTIVE


@pytest.mark.parametrize(
    ("source", "draft", "length", "error"),
    [
        (Exploding(DATA, SourceBroken("gone")), ImageFields(), None, SourceBroken),
        (Short(DATA), ImageFields(), len(DATA), SourceBroken),
        (Trickle(DATA), ImageFields(), len(DATA) - 1, SourceBroken),
        (Trickle(DATA), ImageFields(size=len(DATA) + 1), None, SourceMismatch),
        (Trickle(DATA), ImageFields(size=len(DATA) - 1), None, SourceMismatch),
        (Trickle(DATA), ImageFields(digests={"sha256": "0" * 64}), None, SourceMismatch),
        (Trickle(DATA), ImageFields(digests={"md5": "0" * 32}), None, SourceMismatch),
    ],
    ids=["broken", "short", "long", "smaller", "larger", "sha256", "md5"],
)
def test_an_upload_that_differs_from_its_declaration_is_killed_with_the_reason(
    bench, source, draft, length, error
):
    source.given, source._reads = 0, 0
    with pytest.raises(error) as caught:
        bench.lifecycle.upload(Change(bench.caller, draft), Announced(source, length))
    (image_id,) = bench.images()

    assert bench.status(image_id) is KILLED
    assert bench.row(image_id).status_reason == str(caught.value)
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_a_copy_from_a_store_whose_bytes_have_changed_names_that_store(bench):
    """r1-H3: the stored bytes have changed, so the error does not report a wrong checksum of a client."""
    image = bench.upload(DATA)
    bench.store.shelf.blobs[image.location.key] = (
        bytes(len(DATA)),
        bench.store.shelf.blobs[image.location.key][1],
    )
    with pytest.raises(BlobChanged, match="store 'memory': its bytes are not those of the image"):
        bench.lifecycle._transfers.copy(image, bench.stores["memory"])

    assert len(bench.blobs) == 1


def test_a_copy_from_a_store_that_fails_names_that_store(bench, monkeypatch):
    """r1-H3: the error is not a SourceError, because no client sent these bytes."""
    image = bench.upload(DATA)
    away = Exploding(DATA[:100], Unavailable("memory", "it is away"))
    monkeypatch.setattr(bench.store, "get", lambda *_: away)
    with pytest.raises(Unavailable, match="it is away"):
        bench.lifecycle._transfers.copy(image, bench.stores["memory"])

    assert len(bench.blobs) == 1


def test_an_upload_over_the_size_limit_is_killed(template):
    with make_bench(template, settings=make_settings(image_size_cap=100)) as bench:
        with pytest.raises(SourceTooLarge):
            bench.upload(DATA)
        (image_id,) = bench.images()

        assert bench.status(image_id) is KILLED
        assert bench.blobs == {}


def test_an_upload_must_have_the_size_declared_at_reservation(bench):
    image = bench.reserve(ImageFields(size=10))
    with pytest.raises(SourceMismatch):
        bench.lifecycle.upload(Change(bench.caller, ImageFields(), image), Announced(Trickle(DATA)))


@pytest.mark.parametrize(
    "draft", [ImageFields(store="attic"), ImageFields(store="memory2")], ids=["unknown", "almost"]
)
def test_an_unknown_store_is_refused_before_anything_is_recorded(bench, draft):
    with pytest.raises(UnknownStore, match=draft.store):
        bench.upload(DATA, draft)

    assert bench.images() == []


def test_without_a_default_an_upload_must_name_its_store(bench):
    bench.stores.default = None
    with pytest.raises(UnknownStore, match="no default"):
        bench.upload(DATA)

    assert bench.upload(DATA, ImageFields(store="memory")).store == "memory"


def test_a_store_that_takes_no_uploads_is_refused(bench):
    checked = bench.stores["memory"]
    checked.withheld |= {WritableStore}
    with pytest.raises(UnknownStore, match="no store that takes uploads"):
        bench.upload(DATA)


def test_of_two_uploads_to_a_queued_image_only_one_reads_its_body(bench):
    image = bench.reserve()
    begin, sources = threading.Barrier(2), [Trickle(pattern(3000, seed=n)) for n in range(2)]

    def race(number):
        begin.wait(10)
        try:
            return bench.lifecycle.upload(
                Change(bench.caller, ImageFields(), image), Announced(sources[number])
            )
        except NotQueued:
            return None

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(race, range(2)))
    (winner,) = [number for number, result in enumerate(results) if result]

    assert sources[1 - winner].given == 0
    assert bench.read(bench.database.find(image.id)) == pattern(3000, seed=winner)
    assert len(bench.blobs) == 1


def test_an_image_deleted_during_its_upload_leaves_no_bytes(bench):
    image = bench.reserve()
    reached, go_on = threading.Event(), threading.Event()

    def gate():
        reached.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(
            bench.lifecycle.upload,
            Change(bench.caller, ImageFields(), image),
            Announced(Paused(DATA, 1500, gate)),
        )
        assert reached.wait(10)
        bench.lifecycle.delete(image, bench.caller)
        go_on.set()
        with pytest.raises(ImageGone):
            upload.result(10)

    assert bench.status(image.id) is DELETED
    assert (bench.blobs, bench.locations()) == ({}, [])


@pytest.mark.parametrize("store_error", [None, Unavailable("memory", "the parts are gone")])
@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("verb", ["upload", "stage"])
def test_an_upload_ended_by_a_sweep_is_reported_as_taken_over_whatever_its_store_raises(
    hasty, monkeypatch, verb, deleted, store_error
):
    """r1-H5: the error says that the image was deleted only if it was."""
    bench = hasty
    image = bench.reserve()
    sweep_during_the_next_add(bench, monkeypatch)
    swept = bench.store.add

    def add(*arguments):
        stored = swept(*arguments)
        if deleted:
            bench.lifecycle.delete(bench.database.find(image.id), bench.caller)
        if store_error is not None:
            raise store_error
        return stored

    bench.store.add = add
    with pytest.raises(ImageGone if deleted else TakenOver):
        bring(bench, verb, image, Trickle(DATA))

    assert bench.status(image.id) is (DELETED if deleted else QUEUED)
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_an_upload_that_fails_after_its_image_was_deleted_leaves_it_deleted(bench):
    image = bench.reserve()
    source = Paused(DATA, 0, lambda: bench.lifecycle.delete(image, bench.caller))
    with pytest.raises(SourceMismatch):
        bench.lifecycle.upload(Change(bench.caller, ImageFields(size=1), image), Announced(source))

    assert bench.status(image.id) is DELETED
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_if_the_inspector_is_missing_an_upload_is_killed_and_the_next_one_tries_again(bench, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setitem(sys.modules, "oslo_utils.imageutils", None)  # it cannot be imported
        with pytest.raises(InspectorsUnavailable):
            bench.upload(DATA)
    (image_id,) = bench.images()

    assert bench.status(image_id) is KILLED
    assert bench.row(image_id).status_reason == "Images cannot be inspected at the moment."
    assert (bench.blobs, bench.locations()) == ({}, [])
    assert bench.upload(DATA).status is ACTIVE


def test_an_upload_whose_reservation_fails_reads_no_bytes(bench, doors):
    doors["commits"], source = 0, Trickle(DATA)
    with pytest.raises(DatabaseUnavailable):
        bench.upload(source)

    assert (source.given, bench.images(), bench.blobs) == (0, [], {})
