"""How a transfer reports what it does."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener to a transfer. Its methods are called from several threads."""

    def begin(self, description: str, size: int | None) -> None:
        """Begin a transfer of `size` bytes, or of unknown length."""
        ...

    def advance(self, count: int) -> None:
        """Add bytes that have been transferred or need not be; a negative count takes some back."""
        ...

    def phase(self, description: str) -> None:
        """Say what happens now, such as a wait, or work of the server after the last byte."""
        ...


class Silent:
    """A listener that ignores everything."""

    def begin(self, description: str, size: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

    def phase(self, description: str) -> None:
        """Do nothing."""


SILENT = Silent()
