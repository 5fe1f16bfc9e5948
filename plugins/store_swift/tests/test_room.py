"""The room of a store: quotas of real Swift, and the limits of its objects."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import pytest
import swiftclient

from calotype.stores import StoreFull, StoreInfo, TooLarge
from calotype.testing import Fault, FaultProxy, Trickle, pattern
from calotype_store_swift import SwiftStore
from calotype_store_swift.options import OBJECT_MAX
from plugins.store_swift.tests.objects import SEGMENT, MakeStore, assert_empty, listed, new_key, put

#: Swift's own defaults: 5 GiB and 2 bytes in an object, and 1,000 segments in a manifest.
LARGEST = 1000 * OBJECT_MAX


def limit(store: SwiftStore, quotas: Mapping[str, int]) -> None:
    """Give the containers with these suffixes a quota in bytes."""
    for suffix, quota in quotas.items():
        headers = {"X-Container-Meta-Quota-Bytes": str(quota)}
        store._account.call("post_container", store.options.container + suffix, headers)


@pytest.fixture
def limited(make_store: MakeStore, swift: Mapping[str, str]) -> Iterator[SwiftStore]:
    """A store in an account of its own, whose reseller limits it to 3 MB."""
    store = make_store(
        user=swift["SWIFT_OTHER_USER"], key=swift["SWIFT_OTHER_KEY"], single_object_max=5 * SEGMENT
    )
    url = store._account.identity.get_endpoint()
    _, token = swiftclient.get_auth(swift["SWIFT_AUTH_URL"], "admin:admin", "admin", auth_version="1")
    swiftclient.post_account(url, token, {"X-Account-Meta-Quota-Bytes": "3000000"})
    yield store
    swiftclient.post_account(url, token, {"X-Account-Meta-Quota-Bytes": ""})


def test_a_store_without_quotas_knows_only_its_largest_image(store: SwiftStore) -> None:
    assert store.info() == StoreInfo(largest=LARGEST)


def test_the_quota_of_the_account_is_the_capacity(limited: SwiftStore) -> None:
    room = limited.info()

    assert room.capacity == 3_000_000
    assert room.free is not None
    assert 0 <= room.free <= 3_000_000


def test_an_upload_over_the_quota_of_the_account_finds_no_room_and_leaves_nothing(
    limited: SwiftStore,
) -> None:
    with pytest.raises(StoreFull, match="its quota is used up"):
        put(limited, pattern(4 * SEGMENT), 4 * SEGMENT)

    assert_empty(limited)


def test_the_quotas_of_both_containers_are_the_capacity(store: SwiftStore) -> None:
    limit(store, {"": 5000})
    assert store.info() == StoreInfo(largest=LARGEST)

    limit(store, {"_segments": 1_000_000})
    assert store.info() == StoreInfo(1_005_000, 1_005_000, 1_005_000)


def test_an_upload_over_the_quota_of_a_container_finds_no_room(store: SwiftStore) -> None:
    limit(store, {"": 5000})
    with pytest.raises(StoreFull, match="its quota is used up"):
        put(store, pattern(5001))

    assert listed(store) == []


def test_a_user_of_the_containers_alone_does_not_know_the_quota_of_the_account(
    proxied: SwiftStore, proxy: FaultProxy
) -> None:
    limit(proxied, {"": 5000, "_segments": 5000})
    path = f"HEAD /v1/{proxied._account.identity.get_endpoint().rpartition('/')[2]} "
    proxy.inject(Fault(path, status=403), times=None)

    assert proxied.info() == StoreInfo(10_000, 10_000, 10_000)


def test_an_image_that_no_manifest_can_hold_is_refused_before_its_first_byte(store: SwiftStore) -> None:
    source = Trickle(b"x")
    with pytest.raises(TooLarge, match=f"at most {LARGEST} bytes"):
        store.add(new_key(), source, LARGEST + 1)

    assert source.given == 0
    assert_empty(store)


def test_an_object_larger_than_swift_allows_is_too_large(store: SwiftStore) -> None:
    """Swift refuses it by its announced length, before it reads a byte."""
    with pytest.raises(TooLarge, match="larger than it allows"):
        store._account.call(
            "put_object", store.options.container, "k", io.BytesIO(b"x"), content_length=OBJECT_MAX + 3
        )
