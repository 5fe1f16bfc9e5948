"""A stand-in for a store that is switched off or not configured."""

from __future__ import annotations

from calotype.stores.contract import Store
from calotype.stores.errors import Unavailable
from calotype.stores.options import StoreOptions
from calotype.stores.values import Reader


class AbsentStore(Store):
    """A store that is always unavailable. Every call raises Unavailable with the reason that it was given."""

    def __init__(self, name: str, reason: str):
        super().__init__(name, StoreOptions())
        self._reason = reason

    def check(self) -> None:
        """Raise Unavailable."""
        raise Unavailable(self.name, self._reason)

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Raise Unavailable."""
        raise Unavailable(self.name, self._reason)

    def size(self, location: str) -> int | None:
        """Raise Unavailable."""
        raise Unavailable(self.name, self._reason)
