"""The conformance kit against real Swift, with each way to log in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from tintype.stores import Store
from tintype.testing import StoreConformance
from tintype_store_swift import SwiftOptions, SwiftStore

#: Small enough that the kit's sizes need several segments.
SEGMENT = 1 << 20
SMALL = {"segment_size": SEGMENT, "upload_memory": 4 * SEGMENT, "temp_url_key": "canary-of-temp-url"}


class SwiftConformance(StoreConformance):
    part_size: ClassVar[int] = SEGMENT

    def leftovers(self, store: Store) -> list[str]:
        """The names of all segments that no object is made of, those below a taken key included."""
        with store._connections.lent() as connection:
            listing = connection.get_container(f"{store.options.container}_segments", full_listing=True)[1]
            made = {blob.location: None for blob in store.blobs()}
            for location in made:
                key = location.removeprefix("swift:")
                headers = connection.head_object(store.options.container, key)
                made[location] = headers["x-object-meta-tintype-attempt"]
        parts = [entry["name"].split("/") for entry in listing]
        return ["/".join(part) for part in parts if made.get(f"swift:{part[0]}") != part[1]]


def new_store(**options: object) -> SwiftStore:
    """A store in containers of its own, which are there, with the account's TempURL key set."""
    store = SwiftStore("swift", SwiftOptions(container=f"kit-{uuid.uuid4().hex}", **SMALL, **options))
    store.create()
    with store._connections.lent() as connection:
        connection.post_account({"X-Account-Meta-Temp-URL-Key": SMALL["temp_url_key"]})
    return store


class TestTempauth(SwiftConformance):
    @pytest.fixture
    def store(self, swift: Mapping[str, str]) -> Iterator[SwiftStore]:
        store = new_store(
            auth_url=swift["SWIFT_AUTH_URL"],
            auth_version="1",
            user=swift["SWIFT_USER"],
            key=swift["SWIFT_KEY"],
        )
        yield store
        store.close()
