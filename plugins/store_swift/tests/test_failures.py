"""Connections, answers and bytes that break on the way."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from calotype.stores import BlobChanged, StoreError, StoreFull, Unavailable
from calotype.testing import Fault, FaultProxy, Trickle, pattern, read_all
from calotype_store_swift import SwiftStore
from plugins.store_swift.tests.objects import LARGE, SEGMENT, MakeStore, assert_empty, new_key, put

# What breaks on the way.


def test_an_interrupted_download_resumes_at_the_next_byte(proxied: SwiftStore, proxy: FaultProxy) -> None:
    data = pattern(LARGE)
    location = put(proxied, data)
    for fault in (Fault("GET ", reset_down=300_000), Fault("GET ", truncate_down=1_200_000)) * 2:
        proxy.inject(fault)
    before = len(proxy.requests)

    assert read_all(proxied.get(location, 1), limit=LARGE) == data[1:]
    assert len([line for line in proxy.requests[before:] if line.startswith("GET ")]) == 5


def test_a_download_that_breaks_every_time_is_an_error_and_no_short_read(
    proxied: SwiftStore, proxy: FaultProxy
) -> None:
    location = put(proxied, pattern(LARGE))
    proxy.inject(Fault("GET ", truncate_down=0), times=None)

    with pytest.raises(Unavailable):
        read_all(proxied.get(location), limit=LARGE)


def test_an_object_replaced_under_a_reader_is_an_error(proxied: SwiftStore, proxy: FaultProxy) -> None:
    location = put(proxied, pattern(LARGE))
    proxy.inject(Fault("GET ", reset_down=300_000))
    reader = proxied.get(location)
    reader.read(1000)
    proxied.delete(location)
    proxied.add(location.removeprefix("swift:"), Trickle(pattern(LARGE, seed=1)))

    with pytest.raises(BlobChanged):
        read_all(reader, limit=LARGE)


@pytest.mark.parametrize("size", [5000, LARGE])
def test_an_upload_whose_last_response_is_lost_is_not_reported_as_a_duplicate(
    proxied: SwiftStore, proxy: FaultProxy, size: int
) -> None:
    key = new_key()
    path = f"PUT {urlsplit(proxied._account.identity.get_endpoint()).path}/{proxied.options.container}/"
    proxy.inject(Fault(path, deaf=True))
    stored = proxied.add(key, Trickle(pattern(size)))

    assert stored.size == size
    assert read_all(proxied.get(stored.location), limit=size) == pattern(size)


@pytest.mark.parametrize("size", [5000, LARGE])
@pytest.mark.parametrize(
    "fault",
    [Fault("PUT ", reset_up=10), Fault("PUT ", deaf=True), Fault("PUT ", status=503)],
    ids=["cut", "deaf", "busy"],
)
def test_an_upload_that_cannot_be_repeated_leaves_nothing(
    make_store: MakeStore, proxy: FaultProxy, fault: Fault, size: int
) -> None:
    store = make_store(auth_url=f"{proxy.url}/auth/v1.0", retries=0)
    for first in range(5):  # four segments and the manifest
        proxy.inject(fault, skip=first)
        with pytest.raises(Unavailable):
            put(store, pattern(size))
        proxy.heal()
        if size < SEGMENT:
            break

    assert_empty(store)


def test_an_upload_whose_segments_would_expire_is_undone(proxied: SwiftStore, proxy: FaultProxy) -> None:
    proxy.inject(Fault("POST ", status=503), skip=2, times=None)
    with pytest.raises(Unavailable):
        put(proxied, pattern(LARGE))

    assert_empty(proxied)


@pytest.mark.parametrize("size", [5000, LARGE])
def test_bytes_damaged_on_the_way_are_not_stored(proxied: SwiftStore, proxy: FaultProxy, size: int) -> None:
    proxy.inject(Fault("PUT ", corrupt_up=1234))
    with pytest.raises(Unavailable, match="damaged"):
        put(proxied, pattern(size))

    assert_empty(proxied)


@pytest.mark.parametrize(("status", "kind"), [(413, StoreFull), (507, StoreFull), (403, Unavailable)])
def test_each_refusal_of_the_swift_server_raises_its_own_error(
    make_store: MakeStore, proxy: FaultProxy, status: int, kind: type[StoreError]
) -> None:
    store = make_store(auth_url=f"{proxy.url}/auth/v1.0", retries=0)
    proxy.inject(Fault("PUT ", status=status))
    with pytest.raises(kind):
        put(store, pattern(10))


def test_the_retry_after_of_a_busy_store_is_passed_on(make_store: MakeStore, proxy: FaultProxy) -> None:
    store = make_store(auth_url=f"{proxy.url}/auth/v1.0", retries=0)
    proxy.inject(Fault("PUT ", status=503, headers=(("Retry-After", "7"),)))
    with pytest.raises(Unavailable) as caught:
        put(store, pattern(10))

    assert caught.value.retry_after == 7


def test_a_request_that_fails_once_is_repeated(proxied: SwiftStore, proxy: FaultProxy) -> None:
    for line in ("PUT ", "POST ", "GET ", "HEAD ", "DELETE "):
        proxy.inject(Fault(line, status=503))
    location = put(proxied, pattern(LARGE))

    assert read_all(proxied.get(location), limit=LARGE) == pattern(LARGE)
    assert proxied.size(location) == LARGE
    proxied.delete(location)
    assert_empty(proxied)
