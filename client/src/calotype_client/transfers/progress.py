"""How a transfer reports what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from calotype_client.images import Image


@dataclass(frozen=True, slots=True)
class Subject:
    """What a progress is about: the direction is `push`, `pull`, `copy`, `import` or `wait`."""

    direction: str
    name: str | None
    image_id: str | None = None

    @classmethod
    def of(cls, direction: str, image: Image) -> Subject:
        """Return the subject of a transfer of this image."""
        return cls(direction, image.name, image.id)

    def __str__(self) -> str:
        short = f"({self.image_id[:8]})" if self.image_id else ""
        return " ".join(filter(None, [self.direction, self.name, short]))


class Progress(Protocol):
    """A listener to a transfer. Its methods are called from several threads."""

    def begin(self, subject: Subject, size: int | None) -> None:
        """Begin a transfer of `size` bytes, or of unknown length."""
        ...

    def advance(self, count: int) -> None:
        """Add bytes that have been transferred; a negative count takes some back."""
        ...

    def skip(self, count: int) -> None:
        """Add bytes that need no transfer: they are zeros, or were transferred by an earlier command."""
        ...

    def phase(self, name: str, description: str) -> None:
        """Say what happens now instead of a transfer, until bytes move again.

        The name is `retry`, `store`, `join`, `verify`, or the name that the server gives its own phase.
        """
        ...


class Silent:
    """A listener that ignores everything."""

    def begin(self, subject: Subject, size: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

    def skip(self, count: int) -> None:
        """Do nothing."""

    def phase(self, name: str, description: str) -> None:
        """Do nothing."""


SILENT = Silent()
