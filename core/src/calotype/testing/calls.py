"""Every call of a driver that does I/O, and the error that it raises."""

from __future__ import annotations

from collections.abc import Callable

from calotype.stores import Listing, Store, WritableStore
from calotype.testing.readers import Trickle, pattern


def calls_of(store: Store, location: str, key: str) -> dict[str, Callable[[], object]]:
    """Return the calls of a driver with the location of a blob, and with a new key, by their names."""
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get(location).close(),
        "size": lambda: store.size(location),
        "check": store.check,
    }
    if isinstance(store, WritableStore):
        calls |= {
            "add": lambda: store.add(key, Trickle(pattern(1000)), 1000),
            "delete": lambda: store.delete(location),
            "discard": lambda: store.discard(key),
        }
    if isinstance(store, Listing):
        calls |= {"blobs": lambda: list(store.blobs()), "attempts": lambda: list(store.attempts())}
    return calls


def error_of(call: Callable[[], object]) -> Exception | None:
    """Return the error that a call raises; None if it returns."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the caller judges it
        return error
    return None


def chain(error: BaseException | None) -> str:
    """Return the text of an error and of its causes, as the log shows them."""
    return "" if error is None else f"{error!r} {error} {chain(error.__cause__ or error.__context__)}"
