"""The check that a store's place does not belong to another database, as an interface."""

from __future__ import annotations

from typing import Protocol


class Gate(Protocol):
    """A check whether a store may be used. `calotype.transfers.places` implements it."""

    def admit(self) -> None:
        """Raise an error if the store must not be used. Each use of the driver calls this, so keep it cheap.

        Raises:
            StoreError: the store must not be used.
        """
        ...

    def require_own(self) -> None:
        """Read the marker of the place now, and raise an error unless it is the store's own.

        Raises:
            StoreError: there is no marker, it names another store, or the store cannot be reached.
        """
        ...
