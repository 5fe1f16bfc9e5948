"""Callers: the senders of requests, as far as the server knows them before the application runs.

The application names the caller of a token after it has checked the token. From then on, requests with this
token count as that caller's. Other requests count as their address's, so a client gains nothing by inventing
tokens.
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
    """The sender of requests: the name that the application gave, or else an address."""

    name: str
    known: bool


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
        """Return the caller of a token, or else of an address."""
        return self._known.get(token) or Caller(address, known=False)

    def learn(self, token: Hashable | None, name: str) -> None:
        """Remember the caller of a token."""
        known = self._known.get(token)
        if token is None or (known is not None and known.name == name):
            return
        with self._learning:
            self._known[token] = Caller(name, known=True)
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]
