"""Helpers that write, list and expire objects in Swift."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from calotype.testing import Trickle
from calotype_store_swift import SwiftStore

#: Small enough that little data needs several segments.
SEGMENT = 1 << 20


LARGE = 3 * SEGMENT + 17


MakeStore = Callable[..., SwiftStore]


def new_key() -> str:
    return f"{uuid.uuid4()}.1"


def put(store: SwiftStore, data: bytes, size: int | None = None) -> str:
    return store.add(new_key(), Trickle(data), size).location


def listed(store: SwiftStore, suffix: str = "") -> list[str]:
    """Return the names of all objects in the store's container, or in the container of its segments."""
    with store._account.lent() as connection:
        return [entry["name"] for entry in connection.get_container(store.options.container + suffix)[1]]


def expiries(store: SwiftStore) -> list[str | None]:
    """Return when Swift will remove each of the store's segments."""
    container = f"{store.options.container}_segments"
    with store._account.lent() as connection:
        return [
            connection.head_object(container, name).get("x-delete-at") for name in listed(store, "_segments")
        ]


def assert_empty(store: SwiftStore) -> None:
    assert listed(store) == []
    assert listed(store, "_segments") == []


def expire_tokens(store: SwiftStore) -> None:
    """Replace all tokens by one that Swift does not know, as if they had expired."""
    store._account.identity._session.auth.auth_ref.auth_token = "AUTH_tk-expired"
    for connection in store._account._idle:
        connection.token = "AUTH_tk-expired"
