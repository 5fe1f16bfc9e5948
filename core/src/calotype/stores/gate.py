"""The check that a store's place does not belong to another database, as an interface."""

from __future__ import annotations

from typing import Protocol


class Gate(Protocol):
    """Decides whether a store may be used: see `calotype.transfers.places`, which implements it."""

    def admit(self) -> None:
        """Return if the store may be used. Each use of the driver calls this, so it must be cheap.

        Raises:
            StoreError: the store must not be used.
        """
        ...

    def require_own(self) -> None:
        """Read the marker of the place now, and return if it is the store's own.

        Raises:
            StoreError: there is no marker, it is another store's, or the store cannot be reached.
        """
        ...
