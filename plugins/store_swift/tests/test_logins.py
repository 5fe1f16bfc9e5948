"""Logins: tempauth, Keystone, and tokens that expire."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest
import requests

from calotype.stores import Misconfigured, Unavailable
from calotype.testing import FaultProxy, Paused, pattern, read_all
from calotype_store_swift import SwiftStore
from plugins.store_swift.tests.objects import (
    LARGE,
    SEGMENT,
    MakeStore,
    assert_empty,
    expire_tokens,
    new_key,
    put,
)

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
    assert len(proxied._account._idle) <= proxied.options.segment_concurrency


def test_a_wrong_key_is_reported_in_plain_words(make_store: MakeStore) -> None:
    store = make_store(key="canary-of-a-key", created=False)
    for verb in (store.check, store.create, lambda: put(store, b"x"), lambda: store.get("swift:a")):
        with pytest.raises(Misconfigured, match="refuses our credentials") as caught:
            verb()
        assert "canary" not in str(caught.value)


def test_a_missing_container_is_reported_in_plain_words(make_store: MakeStore) -> None:
    store = make_store(created=False)
    verbs = (
        store.check,
        lambda: put(store, b"x"),
        lambda: put(store, pattern(LARGE)),
        lambda: store.get("swift:a"),
        lambda: store.get("swift:a", 5, 0),
        lambda: store.size("swift:a"),
        lambda: store.delete("swift:a"),
        lambda: store.discard("a"),
        lambda: list(store.blobs()),
        lambda: list(store.attempts()),
    )
    for verb in verbs:
        with pytest.raises(Misconfigured, match="container is missing"):
            verb()


def test_segments_are_no_attempt_because_the_container_of_objects_is_missing(store: SwiftStore) -> None:
    put(store, pattern(LARGE))
    container = store.options.container
    with store._account.lent() as connection:
        _, entries = connection.get_container(container)
        for entry in entries:
            connection.delete_object(container, entry["name"])
        connection.delete_container(container)

    with pytest.raises(Misconfigured, match="container is missing"):
        list(store.attempts())


def test_a_refused_connection_is_reported_in_plain_words(make_store: MakeStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = make_store(auth_url=f"http://127.0.0.1:{port}/auth/v1.0", retries=0, created=False)
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        store.check()
    assert not isinstance(caught.value, Misconfigured)

    assert str(port) not in str(caught.value)


def test_an_endpoint_with_a_private_ca_needs_the_option_ca_bundle(
    make_store: MakeStore, swift: Mapping[str, str]
) -> None:
    store = make_store(auth_url=swift["SWIFT_TLS_AUTH_URL"], created=False)
    with pytest.raises(Unavailable, match="ca_bundle"):
        store.check()

    trusting = make_store(auth_url=swift["SWIFT_TLS_AUTH_URL"], ca_bundle=swift["SWIFT_CACERT"])
    location = put(trusting, pattern(LARGE))
    assert read_all(trusting.get(location), limit=LARGE) == pattern(LARGE)


def test_another_user_may_not_write_into_the_container(
    make_store: MakeStore, swift: Mapping[str, str]
) -> None:
    owner = make_store()
    endpoint = owner._account.identity.get_endpoint()
    stranger = make_store(
        user=swift["SWIFT_OTHER_USER"],
        key=swift["SWIFT_OTHER_KEY"],
        endpoint=endpoint,
        container=owner.options.container,
        created=False,
    )
    with pytest.raises(Misconfigured, match="not allowed to do this"):
        put(stranger, b"x")


def test_an_object_cannot_be_read_without_a_token_or_by_another_user(
    make_store: MakeStore, swift: Mapping[str, str]
) -> None:
    owner = make_store()
    endpoint = owner._account.identity.get_endpoint()
    location = put(owner, pattern(LARGE))
    container = owner.options.container
    for path in (container, f"{container}_segments", f"{container}/{location.removeprefix('swift:')}"):
        assert requests.get(f"{endpoint}/{path}", timeout=60).status_code == 401
    stranger = make_store(
        user=swift["SWIFT_OTHER_USER"],
        key=swift["SWIFT_OTHER_KEY"],
        endpoint=endpoint,
        container=container,
        created=False,
    )
    with pytest.raises(Misconfigured, match="not allowed to do this"):
        stranger.get(location)


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["password", "application credential"])
def test_keystone_accepts_a_password_and_an_application_credential(
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
def test_an_endpoint_missing_in_the_catalogue_is_reported_in_plain_words(
    make_keystone_store: MakeStore, application_credential: dict[str, str], wrong: dict[str, str]
) -> None:
    store = make_keystone_store(**application_credential, **wrong, created=False)
    with pytest.raises(Misconfigured, match="lists no endpoint"):
        store.check()
