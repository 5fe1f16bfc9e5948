"""waitress's event loop, with epoll.

In each turn of its loop, waitress asks every connection twice which events it waits for. A thousand idle
connections therefore make all requests ten times slower. Here a connection is asked again only after an
event, or after a worker that runs its request has changed something. The worker asks it in its own thread,
so the loop does not wake up at the end of each request.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any

from waitress import wasyncore

from calotype_server.busy import Busy

#: The events for reading.
_READING = select.EPOLLIN | select.EPOLLPRI
#: The events that epoll reports even if nothing waits for them.
_ALWAYS = select.EPOLLHUP | select.EPOLLERR
#: The event that the client has closed its side of the connection.
_LEFT = select.EPOLLRDHUP


class Poller(dict[int, Any]):
    """The map from descriptors to dispatchers that wasyncore fills. It watches them with epoll."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        #: The connections that are busy.
        self.busy = Busy()
        #: The events that each descriptor is watched for. Descriptors without events are not watched,
        #: because epoll would report their hang-up for ever.
        self._interest: dict[int, int] = {}
        #: New dispatchers, and the listeners, which are asked in each turn.
        self._to_ask: set[int] = set()
        #: The lock for `_interest`. A dispatcher is asked and watched under it, because workers do so, too.
        self._asking = threading.Lock()

    def __setitem__(self, descriptor: int, dispatcher: Any) -> None:
        super().__setitem__(descriptor, dispatcher)
        self._to_ask.add(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        with self._asking:
            super().__delitem__(descriptor)
            self.busy.remove(descriptor)
            self._to_ask.discard(descriptor)
            self._watch(descriptor, 0)  # a worker's duplicate of the socket would keep it in epoll

    def turn(self, timeout: float | Callable[[], float]) -> None:
        """Handle the pending events. If there are none, wait up to `timeout` seconds for the first ones.

        A function that returns the timeout is called after all dispatchers were asked.
        """
        for descriptor in list(self._to_ask):
            self.look_at(descriptor)
        for descriptor, flags in self._epoll.poll(timeout() if callable(timeout) else timeout):
            dispatcher = self.get(descriptor)
            if dispatcher is None:
                continue
            if _is_served(dispatcher):
                flags &= self._still_wanted(descriptor)
            if flags & _LEFT:
                dispatcher.handle_close()
            elif flags:
                wasyncore.readwrite(dispatcher, flags)
            if not dispatcher.accepting and not _is_served(dispatcher):
                self.look_at(descriptor)

    def count_busy(self) -> int:
        """Return how many connections are busy. The loop calls this."""
        return self.busy.count(lambda descriptor: _is_served(self.get(descriptor)))

    def look_at(self, descriptor: int) -> None:
        """Watch a dispatcher for the events that it waits for now. The loop calls this."""
        with self._asking:
            if descriptor in self:
                self._ask(descriptor)

    def take_back(self, descriptor: int) -> None:
        """Watch a connection after its worker has changed it, or has ended or paused its request.

        The worker calls this.
        """
        with self._asking:
            if descriptor in self:
                dispatcher = self[descriptor]
                dispatcher.is_served = bool(dispatcher.requests) and dispatcher.paused is None
                self._ask(descriptor)

    def _ask(self, descriptor: int) -> None:
        """Ask a dispatcher for the events that it waits for, and watch it for them.

        While a request runs, reading stays watched until an event comes: few clients send anything before
        they have the response, so most requests need no call of epoll_ctl.
        """
        dispatcher = self[descriptor]
        kept = self._interest.get(descriptor, 0) & _READING if _is_served(dispatcher) else 0
        self._watch(descriptor, self._wanted(dispatcher) | kept)
        if not dispatcher.accepting:
            self._to_ask.discard(descriptor)

    def _still_wanted(self, descriptor: int) -> int:
        """Return the events to handle while a request runs, and stop watching for those that must wait."""
        with self._asking:
            wanted = self._wanted(self[descriptor]) & self._interest.get(descriptor, 0) & ~_READING
            self._watch(descriptor, wanted)
        return wanted | _ALWAYS if wanted else 0

    def _wanted(self, dispatcher: Any) -> int:
        flags = self._reads(dispatcher) if dispatcher.readable() else 0
        if getattr(dispatcher, "paused", None) is not None and not _is_served(dispatcher):
            flags |= _LEFT  # nobody writes to the connection, so nobody else would notice
        return flags | select.EPOLLOUT if dispatcher.writable() and not dispatcher.accepting else flags

    @staticmethod
    def _reads(dispatcher: Any) -> int:
        """Return the events for reading. A socket that several processes watch wakes one of them."""
        is_shared = dispatcher.accepting and dispatcher.share is not None
        return select.EPOLLIN | select.EPOLLEXCLUSIVE if is_shared else _READING

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


def _is_served(dispatcher: Any) -> bool:
    """Return whether a worker runs or is about to run a request of this connection."""
    return getattr(dispatcher, "is_served", False)
