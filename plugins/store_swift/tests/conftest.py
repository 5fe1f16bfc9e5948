"""Stores on real Swift for the tests of this driver: each with its own containers."""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest
import requests
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from calotype.testing import FaultProxy
from calotype_store_swift import SwiftOptions, SwiftStore
from plugins.store_swift.tests.objects import SEGMENT, MakeStore


def _maker(settings: Mapping[str, object]) -> Iterator[MakeStore]:
    """make(**options): a store that is closed after the test; `created=False` leaves its containers out."""
    made: list[SwiftStore] = []

    def make(*, created: bool = True, **options: object) -> SwiftStore:
        small = {"segment_size": SEGMENT, "upload_memory": 4 * SEGMENT, "single_object_max": 0}
        small["container"] = f"t-{uuid.uuid4().hex}"
        store = SwiftStore("swift", SwiftOptions(**{**settings, **small, **options}))
        made.append(store)
        if created:
            store.create()
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture(scope="session")
def tempauth(swift: Mapping[str, str]) -> dict[str, str]:
    """Return the options that log in by tempauth."""
    return {
        "auth_url": swift["SWIFT_AUTH_URL"],
        "auth_version": "1",
        "user": swift["SWIFT_USER"],
        "key": swift["SWIFT_KEY"],
    }


@pytest.fixture
def make_store(tempauth: dict[str, str]) -> Iterator[MakeStore]:
    """Stores that log in by tempauth."""
    yield from _maker(tempauth)


@pytest.fixture(scope="session")
def application_credential(swift_keystone: Mapping[str, str]) -> dict[str, str]:
    """The two options that log in by an application credential of Keystone's user `member`."""
    with contextlib.closing(requests.Session()) as http:
        auth = v3.Password(
            swift_keystone["KEYSTONE_URL"],
            swift_keystone["KEYSTONE_PASSWORD"],
            username="member",
            user_domain_name="Default",
            project_name="demo",
            project_domain_name="Default",
        )
        session = Session(auth=auth, session=http)
        made = session.post(
            f"{swift_keystone['KEYSTONE_URL']}/users/{session.get_user_id()}/application_credentials",
            json={"application_credential": {"name": uuid.uuid4().hex, "secret": "canary-of-a-credential"}},
        ).json()["application_credential"]
    return {
        "application_credential_id": made["id"],
        "application_credential_secret": made["secret"],
    }


@pytest.fixture
def make_keystone_store(swift_keystone: Mapping[str, str]) -> Iterator[MakeStore]:
    """Stores that log in at Keystone: the credentials are for the test to give."""
    yield from _maker({"auth_url": swift_keystone["KEYSTONE_URL"]})


@pytest.fixture
def store(make_store: MakeStore) -> SwiftStore:
    return make_store()


@pytest.fixture
def proxy(swift: Mapping[str, str]) -> Iterator[FaultProxy]:
    server = urlsplit(swift["SWIFT_URL"])
    with FaultProxy(server.hostname, server.port) as proxy:
        yield proxy


@pytest.fixture
def make_proxied(make_store: MakeStore, proxy: FaultProxy) -> MakeStore:
    """Stores that send every request, including logins, through `proxy`."""
    return functools.partial(make_store, auth_url=f"{proxy.url}/auth/v1.0")


@pytest.fixture
def proxied(make_proxied: MakeStore) -> SwiftStore:
    """Return a store that sends every request through `proxy`."""
    return make_proxied()
