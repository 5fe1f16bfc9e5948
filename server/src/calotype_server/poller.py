"""waitress's event loop, with epoll.

In each turn of its loop, waitress asks every connection twice which events it waits for. A thousand idle
connections therefore make all requests ten times slower. Here a connection is asked again only after an
event, or while a worker runs one of its requests. The worker may change which events it waits for.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from waitress import wasyncore


class Poller(dict[int, Any]):
    """The map from descriptors to dispatchers that wasyncore fills. It watches them with epoll."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        #: The events that each descriptor is watched for. Descriptors without events are not watched,
        #: because epoll would report their hang-up for ever.
        self._interest: dict[int, int] = {}
        self._to_ask: set[int] = set()

    def __setitem__(self, descriptor: int, dispatcher: Any) -> None:
        super().__setitem__(descriptor, dispatcher)
        self._to_ask.add(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self._to_ask.discard(descriptor)
        self._watch(descriptor, 0)  # a worker's duplicate of the socket would keep it in epoll

    def turn(self, timeout: float | Callable[[], float]) -> None:
        """Handle the pending events. If there are none, wait up to `timeout` seconds for the first ones.

        A function that returns the timeout is called after all dispatchers were asked.
        """
        for descriptor in list(self._to_ask):
            self._ask(descriptor)
        for descriptor, flags in self._epoll.poll(timeout() if callable(timeout) else timeout):
            dispatcher = self.get(descriptor)
            if dispatcher is not None:
                wasyncore.readwrite(dispatcher, flags)
                if descriptor in self:
                    self._to_ask.add(descriptor)

    def _ask(self, descriptor: int) -> None:
        dispatcher = self[descriptor]
        # Look at `requests` before the events. If a worker ends in between, the connection is asked again in
        # the next turn. Listeners and triggers have no `requests`, so they are asked in each turn.
        if not getattr(dispatcher, "requests", True):
            self._to_ask.discard(descriptor)
        flags = self._reads(dispatcher) if dispatcher.readable() else 0
        if dispatcher.writable() and not dispatcher.accepting:
            flags |= select.EPOLLOUT
        self._watch(descriptor, flags)

    @staticmethod
    def _reads(dispatcher: Any) -> int:
        """Return the events for reading. A socket that several processes watch wakes one of them."""
        is_shared = dispatcher.accepting and dispatcher.share is not None
        return select.EPOLLIN | (select.EPOLLEXCLUSIVE if is_shared else select.EPOLLPRI)

    def _watch(self, descriptor: int, flags: int) -> None:
        before = self._interest.get(descriptor, 0)
        if flags == before:
            return
        if not flags:
            del self._interest[descriptor]
            self._epoll.unregister(descriptor)
            return
        (self._epoll.modify if before else self._epoll.register)(descriptor, flags)
        self._interest[descriptor] = flags

    def close(self) -> None:
        """Close every dispatcher in the map, and epoll."""
        wasyncore.close_all(self)
        self._epoll.close()
