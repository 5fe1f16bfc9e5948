"""What stands between the core and a store whose place may belong to another database."""

from __future__ import annotations

from typing import Protocol


class Gate(Protocol):
    """Decides whether a store may be used: see `calotype.transfers.places`, which implements it."""

    def admit(self) -> None:
        """Return if the store may be used. It is called before each use of the driver, so it must be cheap.

        Raises:
            StoreError: it must not be used.
        """
        ...

    def require_own(self) -> None:
        """Read the marker of the place now, and return if it is the store's own.

        Raises:
            StoreError: there is none, or it is another store's, or the store cannot be reached.
        """
        ...
