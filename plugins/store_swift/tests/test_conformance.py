"""The conformance kit against real Swift."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from calotype.stores import Store
from calotype.testing import Fault, FaultProxy, StoreConformance
from calotype_store_swift import SwiftOptions, SwiftStore

TEMP_URL_KEY = "canary-of-temp-url"


@pytest.fixture(scope="class")
def container(tempauth: Mapping[str, str]) -> str:
    """Make containers for all tests of a class, because a request to Swift takes longer than most tests."""
    name = f"kit-{uuid.uuid4().hex}"
    with contextlib.closing(SwiftStore("swift", SwiftOptions(**tempauth, container=name))) as store:
        store.create()
        with store._account.lent() as connection:
            connection.post_account({"X-Account-Meta-Temp-URL-Key": TEMP_URL_KEY})
    return name


class SwiftConformance(StoreConformance):
    part_size: ClassVar[int] = 1 << 20

    @pytest.fixture(autouse=True)
    def _proxy(self, proxy: FaultProxy) -> None:
        self.proxy = proxy

    def take_away(self, store: Store) -> contextlib.AbstractContextManager[None]:
        return self.proxy.away()

    @contextlib.contextmanager
    def full(self, store: Store) -> Iterator[SwiftStore]:
        """A server that answers each PUT with 507, Insufficient Storage."""
        server = urlsplit(store.options.auth_url)
        with FaultProxy(server.hostname, server.port) as proxy:
            proxy.inject(Fault("PUT ", status=507), times=None)
            options = store.options.model_copy(update={"auth_url": f"{proxy.url}{server.path}"})
            with contextlib.closing(SwiftStore(store.name, options)) as full:
                yield full

    def leftovers(self, store: Store) -> list[str]:
        """Return the names of all segments that belong to no object, including those of a taken key."""
        with store._account.lent() as connection:
            listing = connection.get_container(f"{store.options.container}_segments", full_listing=True)[1]
            if not listing:
                return []
            made = {blob.location: None for blob in store.blobs()}
            for location in made:
                key = location.removeprefix("swift:")
                headers = connection.head_object(store.options.container, key)
                made[location] = headers["x-object-meta-calotype-attempt"]
        parts = [entry["name"].split("/") for entry in listing]
        return ["/".join(part) for part in parts if made.get(f"swift:{part[0]}") != part[1]]


class TestTempauth(SwiftConformance):
    @classmethod
    def sizes(cls) -> list[int]:
        """Return few sizes, because `make test` has ten minutes. The campaigns try all."""
        return [0, 1, 2 * cls.part_size, 2 * cls.part_size + 1]

    @pytest.fixture
    def store(self, make_proxied: Callable[..., SwiftStore], container: str) -> SwiftStore:
        return make_proxied(created=False, temp_url_key=TEMP_URL_KEY, container=container)


@pytest.mark.campaign
class TestWhole(SwiftConformance):
    """Each source of known length becomes one object, as by default."""

    listing_size: ClassVar[int] = 1001
    case_seconds: ClassVar[float] = 300

    @pytest.fixture
    def store(self, make_proxied: Callable[..., SwiftStore], container: str) -> SwiftStore:
        return make_proxied(created=False, single_object_max=1 << 30, container=container)
