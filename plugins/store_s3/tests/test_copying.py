"""Copies between two stores of one server, which the server makes without sending us the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from calotype.stores import (
    BlobChanged,
    BlobNotFound,
    Duplicate,
    Misconfigured,
    StoreError,
    StoreFull,
    TooLarge,
    Unavailable,
)
from calotype.testing import Fault, FaultProxy, MemoryStore, Trickle, pattern, read_all
from calotype_store_s3 import S3Store

MIB = 1 << 20
PART = 5 * MIB
Make = Callable[..., S3Store]


@pytest.fixture(autouse=True)
def _small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a copy of more than 5 MiB be made in parts."""
    monkeypatch.setattr("calotype_store_s3.copying.COPY_PART", PART)


@pytest.fixture
def pair(make: Make, proxy: FaultProxy) -> tuple[S3Store, S3Store]:
    """Two stores of one server in two buckets, behind the proxy."""
    source = make(endpoint_url=proxy.url, retries=0)
    target = make(endpoint_url=proxy.url, retries=0, bucket="copies")
    target.create()
    return source, target


def put(store: S3Store, size: int) -> str:
    return store.add("k.1", Trickle(pattern(size))).location


def left(store: S3Store) -> list:
    return [*store.blobs(), *store.attempts()]


@pytest.mark.parametrize("size", [0, 1, 1000, PART, PART + 1, 3 * PART + 17])
def test_a_copy_has_the_bytes_of_its_source_and_none_of_them_passes_through_this_process(
    pair: tuple[S3Store, S3Store], proxy: FaultProxy, size: int
) -> None:
    source, target = pair
    location = put(source, size)
    before = len(proxy.requests)
    stored = target.copy_from("k.2", source, location, size)

    assert not [line for line in proxy.requests[before:] if line.startswith("GET ")]
    assert stored is not None
    assert (stored.location, stored.size) == (target.locate("k.2"), size)
    assert read_all(target.get(stored.location), size + 1) == pattern(size)
    assert list(target.attempts()) == []
    assert read_all(source.get(location), size + 1) == pattern(size)


def test_a_copy_can_be_made_within_one_bucket(make: Make) -> None:
    source, target = make(prefix="within-a"), make(prefix="within-b")
    stored = target.copy_from("k.2", source, put(source, 1000), 1000)

    assert stored is not None
    assert [blob.location for blob in target.blobs()] == [stored.location]


@pytest.mark.parametrize(
    "options",
    [
        {"access_key": "other:tester", "secret_key": "testing2"},
        {"endpoint_url": "http://127.0.0.1:9"},
        {"region": "eu-central-9"},
    ],
)
def test_a_store_of_another_server_or_account_is_not_copied_from(
    make: Make, proxy: FaultProxy, options: Mapping[str, str]
) -> None:
    target = make(endpoint_url=proxy.url)
    source = make(**{"endpoint_url": proxy.url, **options})

    assert target.copy_from("k.2", source, "s3:k.1", 1000) is None
    assert proxy.requests == []


def test_a_store_of_another_driver_is_not_copied_from(make: Make, proxy: FaultProxy) -> None:
    source = MemoryStore("memory", MemoryStore.Options())

    assert make(endpoint_url=proxy.url).copy_from("k.2", source, "blob:k.1", 1000) is None
    assert proxy.requests == []


def test_an_image_that_no_object_can_hold_is_too_large(pair: tuple[S3Store, S3Store]) -> None:
    source, target = pair
    with pytest.raises(TooLarge):
        target.copy_from("k.2", source, "s3:k.1", (5 << 40) + 1)


def test_a_missing_source_is_reported_with_the_sources_name(make: Make, store: S3Store) -> None:
    source = S3Store("origin", store.options)
    with pytest.raises(BlobNotFound) as caught:
        store.copy_from("k.2", source, "s3:k.1", 1000)
    source.close()

    assert caught.value.store == "origin"
    assert left(store) == []


def test_a_missing_bucket_of_the_source_is_not_a_missing_image(make: Make, store: S3Store) -> None:
    with pytest.raises(Misconfigured, match="bucket does not exist"):
        store.copy_from("k.2", make(bucket="no-such-bucket"), "s3:k.1", 1000)


@pytest.mark.parametrize("size", [999, 1001])
def test_a_source_of_another_size_has_changed(make: Make, store: S3Store, size: int) -> None:
    source = S3Store("origin", make(prefix="origin").options)
    location = put(source, 1000)
    with pytest.raises(BlobChanged) as caught:
        store.copy_from("k.2", source, location, size)
    source.delete(location)
    source.close()

    assert caught.value.store == "origin"
    assert left(store) == []


@pytest.mark.parametrize("size", [1000, 2 * PART])
@pytest.mark.parametrize(("again", "error"), [(True, BlobChanged), (False, BlobNotFound)])
def test_a_source_that_is_replaced_or_removed_meanwhile_leaves_no_copy(
    make: Make, monkeypatch: pytest.MonkeyPatch, size: int, again: bool, error: type[StoreError]
) -> None:
    target, origin = make(), make(prefix="meanwhile")
    source = S3Store("origin", origin.options)
    location = put(origin, size)
    really = source._head

    def head(asked: str) -> dict:
        found = really(asked)
        origin.delete(location)
        if again:
            origin.add("k.1", Trickle(pattern(size, seed=1)))
        return found

    monkeypatch.setattr(source, "_head", head)
    with pytest.raises(error) as caught:
        target.copy_from("k.2", source, location, size)
    source.close()
    origin.discard("k.1")

    assert (type(caught.value), caught.value.store) == (error, "origin")
    assert left(target) == []


@pytest.mark.parametrize("size", [1000, 2 * PART])
def test_a_taken_key_keeps_its_bytes(pair: tuple[S3Store, S3Store], size: int) -> None:
    source, target = pair
    location = put(source, size)
    target.add("k.2", Trickle(b"mine"))
    with pytest.raises(Duplicate):
        target.copy_from("k.2", source, location, size)

    assert read_all(target.get("s3:k.2"), 10) == b"mine"
    assert list(target.attempts()) == []


@pytest.mark.parametrize(("size", "skip"), [(1000, 0), (3 * PART, 0), (3 * PART, 2)])
@pytest.mark.parametrize(("status", "error"), [(507, StoreFull), (500, Unavailable), (413, TooLarge)])
def test_a_copy_that_fails_leaves_nothing(
    pair: tuple[S3Store, S3Store],
    proxy: FaultProxy,
    size: int,
    skip: int,
    status: int,
    error: type[StoreError],
) -> None:
    source, target = pair
    location = put(source, size)
    proxy.inject(Fault("PUT ", status=status), skip=skip, times=None)
    with pytest.raises(error) as caught:
        target.copy_from("k.2", source, location, size)

    assert type(caught.value) is error
    assert left(target) == []
    assert read_all(source.get(location), size) == pattern(size)


@pytest.mark.parametrize("size", [1000, 2 * PART])
@pytest.mark.parametrize("line", ["PUT ", "POST "])
def test_a_copy_whose_answer_is_lost_is_there_or_leaves_nothing(
    pair: tuple[S3Store, S3Store], proxy: FaultProxy, size: int, line: str
) -> None:
    source, target = pair
    location = put(source, size)
    proxy.inject(Fault(line, deaf=True))
    try:
        stored = target.copy_from("k.2", source, location, size)
    except Unavailable:
        assert left(target) == []
    else:
        assert stored is not None
        assert read_all(target.get(stored.location), size) == pattern(size)
        assert list(target.attempts()) == []


@pytest.mark.parametrize("status", [501, 403, 405])
@pytest.mark.parametrize(("size", "skip"), [(1000, 0), (3 * PART, 0), (3 * PART, 1)])
def test_a_server_that_refuses_to_copy_leaves_the_copy_to_the_core(
    pair: tuple[S3Store, S3Store], proxy: FaultProxy, size: int, skip: int, status: int
) -> None:
    source, target = pair
    location = put(source, size)
    proxy.inject(Fault("PUT ", status=status), skip=skip, times=None)

    assert target.copy_from("k.2", source, location, size) is None
    proxy.heal()
    assert left(target) == []


def test_a_copy_with_another_size_is_removed(
    pair: tuple[S3Store, S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair
    location = put(source, 1000)
    really = target._bucket.call

    def call(operation: str, **arguments: object) -> dict:
        answer = really(operation, **arguments)
        if operation == "head_object":
            answer["ContentLength"] -= 1
        return answer

    monkeypatch.setattr(target._bucket, "call", call)
    with pytest.raises(StoreError, match="999 bytes"):
        target.copy_from("k.2", source, location, 1000)

    assert left(target) == []


@pytest.fixture
def on_ceph(ceph: Mapping[str, str]) -> Iterator[tuple[S3Store, S3Store]]:
    """Two stores in two buckets of Ceph."""
    from plugins.store_s3.tests.conftest import build

    keys = {"access_key": ceph["S3_ACCESS_KEY"], "secret_key": ceph["S3_SECRET_KEY"]}
    place = {"endpoint_url": ceph["S3_ENDPOINT"], "region": ceph["S3_REGION"], "part_size": "5MiB"}
    stores = build(**place, **keys, bucket="originals"), build(**place, **keys, bucket="copies")
    for store in stores:
        store.create()
    yield stores
    for store in stores:
        store.close()


@pytest.mark.campaign
@pytest.mark.parametrize("size", [0, 1000, 3 * PART + 17])
def test_ceph_copies_too(on_ceph: tuple[S3Store, S3Store], size: int) -> None:
    source, target = on_ceph
    location = put(source, size)
    stored = target.copy_from("k.2", source, location, size)
    source.delete(location)

    assert stored is not None
    assert read_all(target.get(stored.location), size + 1) == pattern(size)
    assert list(target.attempts()) == []
    target.delete(stored.location)
