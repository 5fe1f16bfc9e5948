"""Callers: who sends a request, as far as the server knows before the application has looked at it.

The application says whose a token is, once it has judged it. From then on requests with that token count as
that caller's. All others count as their address's, so whoever invents tokens is still one caller.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass

#: Tokens that are remembered; those that were learned first are forgotten first.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom requests come from: by the name that the application gave, or else by an address."""

    name: str
    known: bool


class Callers:
    """Whose the tokens are; shared by all threads."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Caller] = {}
        self._learning = threading.Lock()

    def of(self, token: Hashable | None, address: str) -> Caller:
        """Return who sends that token from that address."""
        return self._known.get(token) or Caller(address, known=False)

    def learn(self, token: Hashable | None, name: str) -> None:
        """Remember that the token is that caller's."""
        known = self._known.get(token)
        if token is None or (known is not None and known.name == name):
            return
        with self._learning:
            self._known[token] = Caller(name, known=True)
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]
