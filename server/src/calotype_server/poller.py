"""waitress's loop over sockets, without asking each of them anew what it waits for.

waitress asks every connection twice a turn, so a thousand idle ones slow all requests
down tenfold. Here a connection is asked again only when something happened to it, or
while one of its requests is with a worker, which may change what it waits for.
"""

from __future__ import annotations

import select
from typing import Any

from waitress import wasyncore


class Poller(dict[int, Any]):
    """The map from descriptors to their dispatchers that wasyncore fills, with epoll behind it."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        #: What each descriptor is watched for. One that waits for nothing is not: epoll would report its
        #: hang-up for ever.
        self._interest: dict[int, int] = {}
        self._to_ask: set[int] = set()

    def __setitem__(self, descriptor: int, dispatcher: Any) -> None:
        super().__setitem__(descriptor, dispatcher)
        self._to_ask.add(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self._to_ask.discard(descriptor)
        self._watch(descriptor, 0)  # closing is not enough while a worker has a duplicate

    def turn(self, timeout: float) -> None:
        """Handle what has happened, or what does within `timeout` seconds."""
        for descriptor in list(self._to_ask):
            self._ask(descriptor)
        for descriptor, flags in self._epoll.poll(timeout):
            dispatcher = self.get(descriptor)
            if dispatcher is not None:
                wasyncore.readwrite(dispatcher, flags)
                if descriptor in self:
                    self._to_ask.add(descriptor)

    def _ask(self, descriptor: int) -> None:
        dispatcher = self[descriptor]
        # This comes first: a worker that ends in between wakes us, and must find its connection asked again.
        # Listeners and triggers have no requests; they are asked each time.
        if not getattr(dispatcher, "requests", True):
            self._to_ask.discard(descriptor)
        flags = select.EPOLLIN | select.EPOLLPRI if dispatcher.readable() else 0
        if dispatcher.writable() and not dispatcher.accepting:
            flags |= select.EPOLLOUT
        self._watch(descriptor, flags)

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
