"""The settings and callbacks that an application can give the server beyond WSGI: see the README.

The server reads them from the object in the application's attribute `calotype_server`. That object may be the
application itself. Further callbacks, for single requests, are keys of the WSGI environment: see `task`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

#: The attribute of an application that holds the object with its settings and callbacks.
ATTRIBUTE = "calotype_server"
#: Maximum number of objects that are searched for the attribute.
_FILTER_PARTS = 200


def _do_nothing() -> None:
    """Do nothing. This replaces a callback that the application does not define."""


@dataclass(frozen=True)
class Hooks:
    """The settings and callbacks that an application gives the server."""

    #: A sentence that says why no other machine may reach the application. If set, the server listens on
    #: loopback addresses only, and leaves the headers of proxies to the application.
    loopback_only: str | None = None
    #: An additional address to listen on, HOST:PORT or unix:PATH. The environment of each request has
    #: `calotype_server.is_admin`, which is True if the request arrived there.
    admin_listen: str | None = None
    #: `start_serving` is called before the first request, and `stop_serving` after the last one.
    start_serving: Callable[[], object] = _do_nothing
    stop_serving: Callable[[], object] = _do_nothing


def hooks_of(app: Any) -> Hooks:
    """Return the settings and callbacks of an application, even if WSGI filters wrap it."""
    asking = getattr(_behind_filters(app), ATTRIBUTE, None)
    asked = {field.name: getattr(asking, field.name, None) for field in fields(Hooks)}
    return Hooks(**{name: value for name, value in asked.items() if value is not None})


def _behind_filters(app: Any) -> Any:
    """Return the application itself, without the filters that wrap it; None if it has no hooks.

    A filter around an application, such as keystonemiddleware, hides the application's attributes. Therefore
    the objects that a filter refers to are searched for the attribute, too.
    """
    seen: set[int] = set()
    unseen: list[Any] = [app]
    while unseen and len(seen) < _FILTER_PARTS:
        part = unseen.pop(0)
        seen.add(id(part))
        if hasattr(part, ATTRIBUTE):
            return part
        unseen += [held for held in _held_by(part) if callable(held) and id(held) not in seen]
    return None


def _held_by(part: Any) -> Iterator[Any]:
    """Yield everything that an object's attributes or a function's closure refer to; nothing for a class."""
    if not isinstance(part, type):
        yield from getattr(part, "__dict__", {}).values()
        for cell in getattr(part, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # the cell is empty
                yield cell.cell_contents
