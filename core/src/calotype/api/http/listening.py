"""How a request waits for events: without a worker under calotype-server, in its thread under other servers.

The limits on listeners and waiters are `calotype.listeners` and `calotype.listeners_per_caller`. Under other
servers, `calotype.listener_threads` replaces the first one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from calotype.api.http.request import Request
from calotype.events.feed import Ask, Subscription

#: The key of the WSGI environment by which calotype-server offers pauses.
PAUSABLE = "calotype_server.pausable"


class Pause(Protocol):
    """A pause that calotype-server offers: see its README."""

    memory: dict[str, Any]

    @property
    def ending(self) -> bool: ...

    def enable(self) -> None: ...

    def run_again(self) -> None: ...

    def at_end(self, call: Callable[[], object]) -> None: ...

    def wake(self) -> None: ...


def pause_of(request: Request) -> Pause | None:
    """Return the pause of the request; None if the server offers none."""
    return request.environ.get(PAUSABLE)


def subscribe(request: Request, wake: Callable[[], object], due: float, **wanted: Any) -> Subscription:
    """Subscribe the caller to events. `wanted` are further values of `Ask`.

    `wake` is called when there are news, and at the time.monotonic() `due`.

    Raises:
        TooManyOfCaller, TooManyListeners: a limit is reached.
    """
    settings, caller = request.settings, request.caller
    most = settings.listener_threads if pause_of(request) is None else settings.listeners
    named = caller.user is not None or caller.project is not None
    counts_as = f"{caller.user} of {caller.project}" if named else request.environ.get("REMOTE_ADDR", "")
    return request.lifecycle.feed.subscribe(Ask(caller, counts_as, most, **wanted), wake, due)


class Held:
    """A response's body for a server without pauses: at each empty block, its thread waits for `wake`."""

    def __init__(self, woken: threading.Event):
        self._woken = woken
        self.body: Iterable[bytes] = ()

    def __iter__(self) -> Iterator[bytes]:
        for block in self.body:
            if block:
                yield block
            else:
                self._woken.wait()
                self._woken.clear()

    def close(self) -> None:
        """Close the body."""
        if hasattr(self.body, "close"):
            self.body.close()
