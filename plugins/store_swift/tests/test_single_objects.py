"""Sources of a known length are written as one object."""

from __future__ import annotations

import contextlib

import pytest

from calotype.stores import Duplicate, StoreFull, Unavailable
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import Expectations
from calotype.stores.toolkit import BLOCK
from calotype.testing import Fault, FaultProxy, Trickle, pattern, read_all
from calotype.testing.readers import Paused
from calotype_store_swift import SwiftStore
from plugins.store_swift.tests.objects import (
    LARGE,
    SEGMENT,
    MakeStore,
    assert_empty,
    expire_tokens,
    listed,
    new_key,
    put,
)

# One object, of a known length.


@pytest.fixture
def whole(make_store: MakeStore, proxy: FaultProxy) -> SwiftStore:
    """Return a store that sends these tests' bytes in one request, through `proxy`."""
    return make_store(auth_url=f"{proxy.url}/auth/v1.0", single_object_max=LARGE)


def test_a_source_of_known_length_is_one_object_without_segments(whole: SwiftStore) -> None:
    location = put(whole, pattern(LARGE), LARGE)

    assert read_all(whole.get(location), limit=LARGE) == pattern(LARGE)
    assert len(listed(whole)) == 1
    assert listed(whole, "_segments") == []


def test_bodies_are_sent_in_large_blocks(whole: SwiftStore) -> None:
    put(whole, b"x")
    with whole._account.lent() as connection:
        adapter = connection.http_conn[1].request_session.get_adapter(connection.url)

    assert adapter.poolmanager.connection_pool_kw["blocksize"] == BLOCK


def test_a_source_longer_than_single_object_max_is_stored_in_segments(whole: SwiftStore) -> None:
    location = put(whole, pattern(LARGE + 1), LARGE + 1)

    assert whole.size(location) == LARGE + 1
    assert len(listed(whole, "_segments")) > 1


def test_a_full_swift_is_reported_although_the_body_cannot_be_sent_again(
    whole: SwiftStore, proxy: FaultProxy
) -> None:
    proxy.inject(Fault("PUT ", status=507), times=None)

    with pytest.raises(StoreFull):
        put(whole, pattern(LARGE), LARGE)


def test_an_upload_that_another_one_has_overtaken_is_refused(whole: SwiftStore) -> None:
    key = new_key()
    with contextlib.closing(SwiftStore(whole.name, whole.options)) as other:
        source = Paused(pattern(LARGE, seed=0), LARGE - 1, lambda: other.add(key, Trickle(b"second"), 6))
        with pytest.raises(Duplicate, match="meanwhile"):
            whole.add(key, source, LARGE)

    assert read_all(whole.get(whole.locate(key)), limit=LARGE) == b"second"


def test_an_upload_whose_connection_breaks_within_the_first_part_is_retried(
    make_store: MakeStore, proxy: FaultProxy
) -> None:
    first = 16 * SEGMENT  # more than the system's own buffers take
    store = make_store(auth_url=f"{proxy.url}/auth/v1.0", single_object_max=2 * first, segment_size=first)
    proxy.inject(Fault("PUT ", reset_up=1000))
    location = put(store, pattern(first + 10), first + 10)

    assert read_all(store.get(location), limit=first + 10) == pattern(first + 10)


@pytest.mark.parametrize(
    "fault", [Fault("PUT ", reset_up=LARGE - 10), Fault("PUT ", deaf=True)], ids=["cut", "deaf"]
)
def test_an_upload_whose_connection_breaks_after_the_first_part_fails_and_leaves_nothing(
    whole: SwiftStore, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.inject(fault)
    with pytest.raises(Unavailable, match="connection broke"):
        put(whole, pattern(LARGE), LARGE)

    assert_empty(whole)


def test_the_core_detects_bytes_damaged_on_the_way_and_does_not_keep_them(
    whole: SwiftStore, proxy: FaultProxy
) -> None:
    proxy.inject(Fault("PUT ", corrupt_up=LARGE - 10))
    with pytest.raises(Unavailable, match="damaged"):
        CheckedStore(whole).add(new_key(), Trickle(pattern(LARGE)), Expectations(length=LARGE))

    assert_empty(whole)


def test_an_expired_token_is_renewed_before_the_bytes_are_sent(whole: SwiftStore) -> None:
    put(whole, b"x")
    expire_tokens(whole)
    location = put(whole, pattern(LARGE), LARGE)

    assert whole.size(location) == LARGE
