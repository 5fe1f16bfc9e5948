"""Objects of several segments, written by this driver or by other programs."""

from __future__ import annotations

import random
import uuid

import pytest

from calotype.stores import BlobChanged, BlobNotFound, Duplicate, SourceBroken, StoreFull, Unavailable
from calotype.testing import Exploding, Paused, Trickle, pattern, read_all
from calotype_store_swift import SwiftStore
from plugins.store_swift.tests.objects import (
    LARGE,
    SEGMENT,
    MakeStore,
    assert_empty,
    expiries,
    listed,
    new_key,
    put,
)

# Large objects.


def test_a_source_that_fits_into_one_segment_is_stored_as_one_object(store: SwiftStore) -> None:
    put(store, pattern(SEGMENT))

    assert len(listed(store)) == 1
    assert listed(store, "_segments") == []


def test_a_source_longer_than_a_segment_is_stored_in_segments_that_do_not_expire(store: SwiftStore) -> None:
    put(store, pattern(LARGE))

    assert expiries(store) == [None] * 4


def test_segments_have_an_expiry_date_until_the_upload_is_complete(store: SwiftStore) -> None:
    seen = []
    source = Paused(pattern(6 * SEGMENT), 5 * SEGMENT, lambda: seen.extend(expiries(store)))
    store.add(new_key(), source)

    assert seen
    assert None not in seen


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("single_object_max", [0, 6 * SEGMENT], ids=["segments", "whole"])
def test_uploads_interrupted_at_random_offsets_leave_nothing(
    make_store: MakeStore, single_object_max: int, count: int
) -> None:
    store = make_store(single_object_max=single_object_max)
    chance = random.Random(20)
    for _ in range(count):
        source = Exploding(pattern(chance.randrange(5 * SEGMENT)), SourceBroken("cut"))
        with pytest.raises(SourceBroken):
            store.add(new_key(), source, chance.choice([None, 6 * SEGMENT]))

    assert_empty(store)


@pytest.mark.parametrize("size", [5000, LARGE])
def test_a_second_process_gets_a_duplicate_and_harms_nothing(make_store: MakeStore, size: int) -> None:
    first, key, data = make_store(), new_key(), pattern(size)
    location = first.add(key, Trickle(data)).location
    second = make_store(container=first.options.container)
    segments = listed(first, "_segments")
    for other in (10, LARGE):
        with pytest.raises(Duplicate):
            second.add(key, Trickle(pattern(other, seed=1)))

    assert listed(first, "_segments") == segments
    assert read_all(first.get(location), limit=size) == data


def test_an_upload_too_long_for_its_manifest_is_refused_and_leaves_nothing(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(segment_size=100)
    monkeypatch.setattr(store, "_manifest_max", 2)
    with pytest.raises(StoreFull):
        put(store, pattern(5000))

    assert_empty(store)


def test_an_object_whose_segment_is_missing_is_an_error_and_no_short_read(store: SwiftStore) -> None:
    location = put(store, pattern(LARGE))
    with store._account.lent() as connection:
        connection.delete_object(f"{store.options.container}_segments", listed(store, "_segments")[1])

    with pytest.raises((BlobChanged, Unavailable)):
        read_all(store.get(location), limit=LARGE)


def test_segments_without_an_object_are_attempts_that_discard_removes(store: SwiftStore) -> None:
    put(store, pattern(LARGE))
    kept, key = listed(store, "_segments"), new_key()
    with store._account.lent() as connection:
        for number in range(3):
            connection.put_object(f"{store.options.container}_segments", f"{key}/a/{number:08d}", b"12345")
    found = [(attempt.location, attempt.size) for attempt in store.attempts()]
    store.discard(key)

    assert found == [(key, 15)]
    assert list(store.attempts()) == []
    assert listed(store, "_segments") == kept


def test_shards_spread_objects_over_containers(make_store: MakeStore) -> None:
    store = make_store(shards=1)
    locations = {put(store, pattern(SEGMENT + 1)) for _ in range(6)}
    used = {store._container(location.removeprefix("swift:")) for location in locations}

    assert {blob.location for blob in store.blobs()} == locations
    assert {blob.size for blob in store.blobs()} == {SEGMENT + 1}
    assert len(used) > 1
    assert store.check() is None
    for location in locations:
        store.delete(location)
    assert list(store.blobs()) == list(store.attempts()) == []


# Objects of others.


@pytest.fixture
def dynamic(store: SwiftStore) -> str:
    """The location of a dynamic large object as Glance writes it: "0123456789" in two segments beside it."""
    key = str(uuid.uuid4())
    with store._account.lent() as connection:
        for number, part in enumerate((b"01234", b"56789"), start=1):
            connection.put_object(store.options.container, f"{key}-{number:05d}", part)
        manifest = {"X-Object-Manifest": f"{store.options.container}/{key}-"}
        connection.put_object(store.options.container, key, b"", headers=manifest)
    return f"swift:{key}"


def test_a_dynamic_large_object_is_read_whole_and_by_range(store: SwiftStore, dynamic: str) -> None:
    assert store.size(dynamic) == 10
    assert read_all(store.get(dynamic), limit=10) == b"0123456789"
    assert read_all(store.get(dynamic, 3, 4), limit=4) == b"3456"


def test_a_deleted_dynamic_large_object_keeps_the_segments_of_its_owner(
    store: SwiftStore, dynamic: str
) -> None:
    store.delete(dynamic)

    with pytest.raises(BlobNotFound):
        store.get(dynamic)
    assert len(listed(store)) == 2
