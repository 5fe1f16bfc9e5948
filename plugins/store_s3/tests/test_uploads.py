"""Uploads that fail, and leave nothing."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import pytest
from botocore.client import BaseClient

from calotype.stores import Duplicate, SourceBroken, StoreError, StoreFull, StoreInfo, TooLarge, Unavailable
from calotype.testing import Exploding, Fault, FaultProxy, Flow, Trickle, pattern, read_all
from calotype_store_s3 import S3Store

MIB = 1 << 20
PART = 5 * MIB
Make = Callable[..., S3Store]


def left(store: S3Store) -> list:
    """Return everything below the store's prefix."""
    return [*store.blobs(), *store.attempts()]


#: A hundred places; thirty of them in every run.
CUTS = random.Random(11).sample(range(4 * PART), 100)


@pytest.mark.parametrize(
    "offset", [*CUTS[:30], *(pytest.param(cut, marks=pytest.mark.campaign) for cut in CUTS[30:])]
)
def test_an_upload_that_breaks_anywhere_leaves_nothing(store: S3Store, offset: int) -> None:
    error = SourceBroken("the client went away")
    with pytest.raises(SourceBroken) as caught:
        store.add("cut.1", Exploding(pattern(offset), error))

    assert caught.value is error
    assert left(store) == []


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("size", [1000, PART + 1000, 3 * PART])
def test_an_upload_whose_connection_breaks_is_retried_or_leaves_nothing(
    make: Make, store: S3Store, proxy: FaultProxy, size: int, retries: int
) -> None:
    data = pattern(size)
    proxy.inject(Fault("PUT ", reset_up=size % PART // 2 + 1))
    through = make(endpoint_url=proxy.url, retries=retries)
    if retries:
        assert read_all(store.get(through.add("k.1", Trickle(data)).location), size) == data
    else:
        with pytest.raises(Unavailable):
            through.add("k.1", Trickle(data))
        assert left(store) == []


@pytest.mark.parametrize("size", [1000, PART + 1000])
def test_an_upload_whose_last_response_is_lost_is_not_reported_as_a_duplicate(
    make: Make, store: S3Store, proxy: FaultProxy, size: int
) -> None:
    data = pattern(size)
    if size > PART:
        proxy.inject(Fault("POST ", deaf=True), skip=1)
    else:
        proxy.inject(Fault("PUT ", deaf=True))
    stored = make(endpoint_url=proxy.url).add("k.1", Trickle(data))

    assert read_all(store.get(stored.location), size) == data
    assert list(store.attempts()) == []


def test_an_object_is_found_even_if_the_only_response_about_it_was_lost(
    make: Make, store: S3Store, proxy: FaultProxy
) -> None:
    proxy.inject(Fault("PUT ", deaf=True))
    stored = make(endpoint_url=proxy.url, retries=0).add("k.1", Trickle(pattern(1000)))

    assert read_all(store.get(stored.location), 1000) == pattern(1000)


@pytest.mark.parametrize("retries", [0, 3])
def test_an_upload_whose_id_was_lost_is_aborted(
    make: Make, store: S3Store, proxy: FaultProxy, retries: int
) -> None:
    proxy.inject(Fault("POST ", deaf=True))
    through = make(endpoint_url=proxy.url, retries=retries)
    if retries:
        through.add("k.1", Trickle(pattern(PART + 1)))
    else:
        with pytest.raises(Unavailable):
            through.add("k.1", Trickle(pattern(PART + 1)))

    assert list(store.attempts()) == []


def test_a_part_that_is_refused_ends_the_upload(make: Make, store: S3Store, proxy: FaultProxy) -> None:
    proxy.inject(Fault("PUT ", status=507), skip=1, times=None)
    source = Flow(100 * PART)
    with pytest.raises(StoreFull) as caught:
        make(endpoint_url=proxy.url).add("k.1", source)

    assert str(caught.value) == "store 's3': it is full"
    assert left(store) == []
    assert source.read(1) != b""


def test_a_failed_abort_is_retried(make: Make, store: S3Store, proxy: FaultProxy) -> None:
    proxy.inject(Fault("DELETE ", status=500), times=2)
    with pytest.raises(SourceBroken):
        make(endpoint_url=proxy.url, retries=0).add("k.1", Exploding(pattern(PART * 2), SourceBroken("gone")))

    assert left(store) == []


@pytest.mark.parametrize("size", [1000, PART + 1000])
def test_bytes_that_change_on_their_way_are_refused(
    make: Make, store: S3Store, proxy: FaultProxy, size: int
) -> None:
    proxy.inject(Fault("PUT ", corrupt_up=500), times=None)
    with pytest.raises(Unavailable, match="changed on their way"):
        make(endpoint_url=proxy.url, retries=0).add("k.1", Trickle(pattern(size)))

    assert left(store) == []


@pytest.mark.parametrize("size", [1000, PART + 1000])
def test_a_server_without_conditional_writes_still_refuses_a_taken_key(
    make: Make, store: S3Store, proxy: FaultProxy, size: int
) -> None:
    line = "PUT " if size < PART else "POST "
    proxy.inject(Fault(line, status=501), skip=0 if size < PART else 1)
    through = make(endpoint_url=proxy.url)
    through.add("k.1", Trickle(pattern(size)))
    with pytest.raises(Duplicate):
        through.add("k.1", Trickle(pattern(size, seed=1)))

    assert read_all(store.get("s3:k.1"), size) == pattern(size)
    assert list(store.attempts()) == []


def test_discard_removes_the_object_and_all_its_attempts_and_no_other_keys(
    store: S3Store, client: BaseClient
) -> None:
    prefix = store.options.prefix
    for key in ("k.1", "k.1", "k.1-2"):
        client.create_multipart_upload(Bucket="images", Key=prefix + key)
    store.add("k.1", Trickle(pattern(10)))
    store.add("k.1-2", Trickle(pattern(10)))
    store.discard("k.1")
    store.discard("k.1")

    assert [attempt.location for attempt in store.attempts()] == ["k.1-2"]
    assert [blob.location for blob in store.blobs()] == ["s3:k.1-2"]


def test_a_discard_that_fails_raises_an_error_and_can_be_repeated(
    make: Make, store: S3Store, client: BaseClient, proxy: FaultProxy
) -> None:
    client.create_multipart_upload(Bucket="images", Key=store.options.prefix + "k.1")
    proxy.inject(Fault("DELETE ", status=500), times=4)
    through = make(endpoint_url=proxy.url, retries=0)
    with pytest.raises(Unavailable):
        through.discard("k.1")
    through.discard("k.1")

    assert left(store) == []


def test_an_attempt_is_listed_with_its_size(store: S3Store, client: BaseClient) -> None:
    upload = {"Bucket": "images", "Key": store.options.prefix + "k.1"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    for number in (1, 2):
        client.upload_part(PartNumber=number, Body=pattern(1000), **upload)

    assert [(attempt.location, attempt.size) for attempt in store.attempts()] == [("k.1", 2000)]
    store.discard("k.1")


def test_objects_of_others_are_not_listed(store: S3Store, client: BaseClient) -> None:
    for name in ("README", "sub/a.1", "a_b", ""):
        client.put_object(Bucket="images", Key=store.options.prefix + name, Body=b"x")
    store.add("ours.1", Trickle(b"x"))

    assert [blob.location for blob in store.blobs()] == ["s3:ours.1"]


def test_a_long_upload_of_unknown_length_uses_no_more_memory_than_configured(make: Make) -> None:
    store, source = make(memory="10MiB"), Flow(160 * MIB)
    store.check()
    tracemalloc.start()
    try:
        stored = store.add("k.1", source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert stored.size == 160 * MIB
    assert peak < 16 * MIB


def test_more_than_ten_thousand_parts_are_refused(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype_store_s3.parts.PARTS", 2)
    with pytest.raises(TooLarge, match="more than 2 parts"):
        store.add("k.1", Flow(2 * PART + 1))

    assert left(store) == []


def test_an_image_larger_than_five_tebibytes_is_refused_before_its_first_byte(
    make: Make, proxy: FaultProxy
) -> None:
    source, most = Trickle(b"x"), 5 << 40
    assert make().info() == StoreInfo(largest=most)
    store = make(endpoint_url=proxy.url)
    with pytest.raises(TooLarge, match=f"{most + 1} bytes"):
        store.add("k.1", source, most + 1)

    assert source.given == 0
    assert proxy.requests == []


@pytest.mark.parametrize("options", [{"storage_class": "NONSENSE"}, {"sse": "aws:kms", "kms_key_id": "no"}])
def test_features_that_the_server_lacks_are_refused_or_ignored_but_never_used_in_part(
    make: Make, options: dict[str, str]
) -> None:
    store = make(**options)
    try:
        stored = store.add("k.1", Trickle(pattern(100)))
    except StoreError:
        assert left(store) == []
    else:
        assert store.size(stored.location) == 100
