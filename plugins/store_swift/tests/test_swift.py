"""What is Swift's own: large objects, logins, expiry, and everything that can break on the way."""

from __future__ import annotations

import logging
import random
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from calotype.stores import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    Capability,
    ConfigurationError,
    Duplicate,
    Misconfigured,
    SourceBroken,
    StoreError,
    StoreFull,
    Unavailable,
)
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import Expectations
from calotype.stores.options import read_options
from calotype.testing import Exploding, Fault, FaultProxy, Paused, Trickle, pattern, read_all
from calotype_store_swift import SwiftOptions, SwiftStore
from calotype_store_swift.client import BLOCK

SEGMENT = 1 << 20
LARGE = 3 * SEGMENT + 17
MakeStore = Callable[..., SwiftStore]


@pytest.fixture
def store(make_store: MakeStore) -> SwiftStore:
    return make_store()


@pytest.fixture
def proxy(swift: Mapping[str, str]) -> Iterator[FaultProxy]:
    server = urlsplit(swift["SWIFT_URL"])
    with FaultProxy(server.hostname, server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied(make_store: MakeStore, proxy: FaultProxy) -> SwiftStore:
    """A store whose every request, logins included, goes through `proxy`."""
    return make_store(auth_url=f"{proxy.url}/auth/v1.0")


def new_key() -> str:
    return f"{uuid.uuid4()}.1"


def put(store: SwiftStore, data: bytes, size: int | None = None) -> str:
    return store.add(new_key(), Trickle(data), size).location


def listed(store: SwiftStore, suffix: str = "") -> list[str]:
    """The names of all objects in the store's container, or in the one of its segments."""
    with store._connections.lent() as connection:
        return [entry["name"] for entry in connection.get_container(store.options.container + suffix)[1]]


def expiries(store: SwiftStore) -> list[str | None]:
    """When Swift will remove each of the store's segments."""
    container = f"{store.options.container}_segments"
    with store._connections.lent() as connection:
        return [
            connection.head_object(container, name).get("x-delete-at") for name in listed(store, "_segments")
        ]


def assert_empty(store: SwiftStore) -> None:
    assert listed(store) == []
    assert listed(store, "_segments") == []


def expire_tokens(store: SwiftStore) -> None:
    """Swap all tokens at hand for one that Swift does not know, as it knows none after a while."""
    store._connections.identity._session.auth.auth_ref.auth_token = "AUTH_tk-expired"
    for connection in store._connections._idle:
        connection.token = "AUTH_tk-expired"


# Large objects.


def test_a_source_within_one_segment_is_one_object(store: SwiftStore) -> None:
    put(store, pattern(SEGMENT))

    assert len(listed(store)) == 1
    assert listed(store, "_segments") == []


def test_a_longer_source_is_segments_that_do_not_expire(store: SwiftStore) -> None:
    put(store, pattern(LARGE))

    assert expiries(store) == [None] * 4


def test_segments_expire_as_long_as_the_upload_goes_on(store: SwiftStore) -> None:
    seen = []
    source = Paused(pattern(6 * SEGMENT), 5 * SEGMENT, lambda: seen.extend(expiries(store)))
    store.add(new_key(), source)

    assert seen
    assert None not in seen


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("single_object_max", [0, 6 * SEGMENT], ids=["segments", "whole"])
def test_uploads_cut_at_random_offsets_leave_nothing(
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


def test_an_object_whose_segment_is_gone_is_an_error_and_no_short_read(store: SwiftStore) -> None:
    location = put(store, pattern(LARGE))
    with store._connections.lent() as connection:
        connection.delete_object(f"{store.options.container}_segments", listed(store, "_segments")[1])

    with pytest.raises((BlobChanged, Unavailable)):
        read_all(store.get(location), limit=LARGE)


def test_segments_without_an_object_are_attempts_that_discard_removes(store: SwiftStore) -> None:
    put(store, pattern(LARGE))
    kept, key = listed(store, "_segments"), new_key()
    with store._connections.lent() as connection:
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
    with store._connections.lent() as connection:
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


# What breaks on the way.


def test_a_download_is_taken_up_again_where_it_broke(proxied: SwiftStore, proxy: FaultProxy) -> None:
    data = pattern(LARGE)
    location = put(proxied, data)
    for fault in (Fault("GET ", reset_down=300_000), Fault("GET ", truncate_down=1_200_000)) * 2:
        proxy.inject(fault)
    before = len(proxy.requests)

    assert read_all(proxied.get(location, 1), limit=LARGE) == data[1:]
    assert len([line for line in proxy.requests[before:] if line.startswith("GET ")]) == 5


def test_a_download_that_breaks_always_is_an_error_and_no_short_read(
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
def test_an_upload_whose_last_answer_is_lost_is_no_duplicate(
    proxied: SwiftStore, proxy: FaultProxy, size: int
) -> None:
    key = new_key()
    path = f"PUT {urlsplit(proxied._connections.identity.get_endpoint()).path}/{proxied.options.container}/"
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
def test_refusals_are_told_apart(
    make_store: MakeStore, proxy: FaultProxy, status: int, kind: type[StoreError]
) -> None:
    store = make_store(auth_url=f"{proxy.url}/auth/v1.0", retries=0)
    proxy.inject(Fault("PUT ", status=status))
    with pytest.raises(kind):
        put(store, pattern(10))


def test_a_busy_store_says_when_to_ask_again(make_store: MakeStore, proxy: FaultProxy) -> None:
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


# Logins.


def test_a_token_that_expires_during_an_upload_is_renewed(store: SwiftStore) -> None:
    data = pattern(8 * SEGMENT)
    source = Paused(data, 3 * SEGMENT, lambda: expire_tokens(store))
    location = store.add(new_key(), source).location

    assert read_all(store.get(location), limit=len(data)) == data


def test_a_token_that_expired_is_renewed_for_every_verb(store: SwiftStore) -> None:
    location = put(store, pattern(10))
    for verb in (store.get, store.size, store.delete):
        expire_tokens(store)
        result = verb(location)
        if verb == store.get:
            assert read_all(result, limit=10) == pattern(10)


def test_one_login_and_few_connections_serve_many_requests(proxied: SwiftStore, proxy: FaultProxy) -> None:
    location = put(proxied, pattern(10))
    for _ in range(20):
        read_all(proxied.get(location), limit=10)

    assert [line.split()[1] for line in proxy.requests].count("/auth/v1.0") == 1
    assert len(proxied._connections._idle) <= proxied.options.segment_concurrency


def test_a_wrong_key_is_told_in_plain_words(make_store: MakeStore) -> None:
    store = make_store(key="canary-of-a-key", created=False)
    for verb in (store.check, store.create, lambda: put(store, b"x"), lambda: store.get("swift:a")):
        with pytest.raises(Misconfigured, match="refuses our credentials") as caught:
            verb()
        assert "canary" not in str(caught.value)


def test_a_missing_container_is_told_in_plain_words(make_store: MakeStore) -> None:
    store = make_store(created=False)
    for verb in (store.check, lambda: put(store, b"x"), lambda: put(store, pattern(LARGE))):
        with pytest.raises(Misconfigured, match="container is missing"):
            verb()
    with pytest.raises(BlobNotFound):
        store.get("swift:a")


def test_a_refused_connection_is_told_in_plain_words(make_store: MakeStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = make_store(auth_url=f"http://127.0.0.1:{port}/auth/v1.0", retries=0, created=False)
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        store.check()
    assert not isinstance(caught.value, Misconfigured)

    assert str(port) not in str(caught.value)


def test_a_private_ca_has_to_be_named(make_store: MakeStore, swift: Mapping[str, str]) -> None:
    store = make_store(auth_url=swift["SWIFT_TLS_AUTH_URL"], created=False)
    with pytest.raises(Unavailable, match="ca_bundle"):
        store.check()

    trusting = make_store(auth_url=swift["SWIFT_TLS_AUTH_URL"], ca_bundle=swift["SWIFT_CACERT"])
    location = put(trusting, pattern(LARGE))
    assert read_all(trusting.get(location), limit=LARGE) == pattern(LARGE)


def test_another_user_may_not_write_here(make_store: MakeStore, swift: Mapping[str, str]) -> None:
    owner = make_store()
    endpoint = owner._connections.identity.get_endpoint()
    stranger = make_store(
        user=swift["SWIFT_OTHER_USER"],
        key=swift["SWIFT_OTHER_KEY"],
        endpoint=endpoint,
        container=owner.options.container,
        created=False,
    )
    with pytest.raises(Misconfigured, match="may not do that"):
        put(stranger, b"x")


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["password", "application credential"])
def test_keystone_takes(
    make_keystone_store: MakeStore,
    swift_keystone: Mapping[str, str],
    application_credential: dict[str, str],
    way: str,
) -> None:
    password = {"username": "member", "password": swift_keystone["KEYSTONE_PASSWORD"], "project_name": "demo"}
    store = make_keystone_store(**(password if way == "password" else application_credential))
    data = pattern(LARGE)
    location = put(store, data)

    assert store.check() is None
    assert store.size(location) == LARGE
    assert read_all(store.get(location), limit=LARGE) == data
    assert read_all(store.get(location, SEGMENT - 5, 10), limit=10) == data[SEGMENT - 5 : SEGMENT + 5]
    store.delete(location)
    assert_empty(store)


@pytest.mark.campaign
def test_keystone_refuses_a_wrong_password(make_keystone_store: MakeStore) -> None:
    store = make_keystone_store(username="member", password="canary", project_name="demo", created=False)
    with pytest.raises(Misconfigured, match="refuses our credentials"):
        store.check()


@pytest.mark.parametrize("wrong", [{"region": "nowhere"}, {"interface": "admin"}])
def test_an_endpoint_that_is_not_in_the_catalogue_is_told_in_plain_words(
    make_keystone_store: MakeStore, application_credential: dict[str, str], wrong: dict[str, str]
) -> None:
    store = make_keystone_store(**application_credential, **wrong, created=False)
    with pytest.raises(Misconfigured, match="lists no endpoint"):
        store.check()


# TempURLs, secrets, options.


def test_direct_urls_are_declared_only_with_a_key(make_store: MakeStore) -> None:
    assert Capability.DIRECT_URL not in make_store(created=False).capabilities
    assert Capability.DIRECT_URL in make_store(created=False, temp_url_key="k").capabilities


def test_check_finds_a_wrong_temp_url_key(make_store: MakeStore) -> None:
    store = make_store(temp_url_key="not-the-account's")
    with pytest.raises(Misconfigured, match="temp_url_key"):
        store.check()


def test_no_secret_and_no_token_is_logged(
    make_store: MakeStore,
    make_keystone_store: MakeStore,
    application_credential: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = []
    for store in (make_store(temp_url_key="canary-temp"), make_keystone_store(**application_credential)):
        location = put(store, pattern(LARGE))
        read_all(store.get(location), limit=LARGE)
        expire_tokens(store) if store.options.auth_version == "1" else None
        store.delete(location)
        secrets += [*store.options.secrets(), store._connections.identity.get_token()]
    secrets.remove("testing")  # the word stands in the names of modules

    assert len(secrets) == 4
    assert "swiftclient" in {record.name for record in caplog.records}
    assert [secret for secret in secrets if secret[:20] in caplog.text] == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"auth_version": "1", "user": "a:b"},
        {"username": "a", "password": "b"},
        {"application_credential_id": "a"},
    ],
)
def test_incomplete_credentials_are_refused_in_one_sentence(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="needs"):
        read_options("swift", SwiftOptions, {"auth_url": "http://swift.invalid", **given})


def test_a_key_is_all_that_a_location_holds(store: SwiftStore) -> None:
    key = new_key()

    assert store.add(key, Trickle(b"x")).location == store.locate(key) == f"swift:{key}"
    with pytest.raises(BadLocation):
        store.get(f"swift:{key}/a/00000000")


# One object, of a known length.


@pytest.fixture
def whole(make_store: MakeStore, proxy: FaultProxy) -> SwiftStore:
    """A store that takes what these tests send in one request, through `proxy`."""
    return make_store(auth_url=f"{proxy.url}/auth/v1.0", single_object_max=LARGE)


def test_a_source_of_known_length_is_one_object_without_segments(whole: SwiftStore) -> None:
    location = put(whole, pattern(LARGE), LARGE)

    assert read_all(whole.get(location), limit=LARGE) == pattern(LARGE)
    assert len(listed(whole)) == 1
    assert listed(whole, "_segments") == []


def test_bodies_go_out_in_large_blocks(whole: SwiftStore) -> None:
    put(whole, b"x")
    with whole._connections.lent() as connection:
        adapter = connection.http_conn[1].request_session.get_adapter(connection.url)

    assert adapter.poolmanager.connection_pool_kw["blocksize"] == BLOCK


def test_a_source_longer_than_the_option_goes_in_segments(whole: SwiftStore) -> None:
    location = put(whole, pattern(LARGE + 1), LARGE + 1)

    assert whole.size(location) == LARGE + 1
    assert len(listed(whole, "_segments")) > 1


def test_a_connection_that_breaks_within_the_first_piece_is_made_again(
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
def test_one_that_breaks_later_ends_the_upload_and_leaves_nothing(
    whole: SwiftStore, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.inject(fault)
    with pytest.raises(Unavailable, match="broke off"):
        put(whole, pattern(LARGE), LARGE)

    assert_empty(whole)


def test_bytes_damaged_on_the_way_are_found_by_the_core_and_not_kept(
    whole: SwiftStore, proxy: FaultProxy
) -> None:
    proxy.inject(Fault("PUT ", corrupt_up=LARGE - 10))
    with pytest.raises(Unavailable, match="damaged"):
        CheckedStore(whole).add(new_key(), Trickle(pattern(LARGE)), Expectations(length=LARGE))

    assert_empty(whole)


def test_a_token_that_has_expired_is_renewed_before_the_bytes_flow(whole: SwiftStore) -> None:
    put(whole, b"x")
    expire_tokens(whole)
    location = put(whole, pattern(LARGE), LARGE)

    assert whole.size(location) == LARGE
