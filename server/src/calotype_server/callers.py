"""Callers: the senders of requests, as the server identifies them before the application runs.

Once the application has checked a token, it gives the server the caller's name. From then on, requests with
this token are attributed to that caller. Other requests are attributed to the address that they come from,
so a client gains nothing by inventing tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calotype_server.channel import Channel

#: Maximum number of remembered tokens; the oldest are forgotten first.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of requests. `name` comes from the application if `known` is true; else it is an address."""

    name: str
    known: bool


#: The caller of all requests that continue after a pause, whose number one event can make large.
RESUMED = Caller("resumed", known=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A connection with a waiting request. `since` is the time.monotonic() at which the wait began."""

    task: Channel
    since: float


class Callers:
    """The known callers, by token. All threads share an instance."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Caller] = {}
        self._learning = threading.Lock()

    def of(self, token: Hashable | None, address: str) -> Caller:
        """Return the caller that the token belongs to, or one for the address if the token is unknown."""
        return self._known.get(token) or Caller(address, known=False)

    def learn(self, token: Hashable | None, name: str) -> None:
        """Remember the name of the caller that a token belongs to."""
        known = self._known.get(token)
        if token is None or (known is not None and known.name == name):
            return
        with self._learning:
            self._known[token] = Caller(name, known=True)
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]
