"""Stores that hold images, but are switched off or not configured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from calotype.database.database import Database
from calotype.stores.catalog import Catalog
from calotype.stores.contract import Store
from calotype.stores.errors import Unavailable
from calotype.stores.options import StoreOptions
from calotype.stores.values import Reader


def absent_stores(names: Iterable[str], stores: Catalog) -> Iterator[AbsentStore]:
    """Yield a stand-in for each of these stores that is not in the catalog."""
    for name in names:
        if name not in stores:
            off = stores.off.get(name)
            yield AbsentStore(name, f"the store is off: {off}" if off else "it is not configured")


def find_unreadable(database: Database, stores: Catalog) -> list[str]:
    """Return a warning for each store that has images and is not in the catalog; [] if there is none."""
    return [
        f"the database has images in store '{store.name}', but their bytes there cannot be read: "
        f"{store.reason}"
        for store in absent_stores(database.stores_with_images(), stores)
    ]


class AbsentStore(Store):
    """A store that is always unavailable. Every call raises Unavailable with the reason that it was given."""

    def __init__(self, name: str, reason: str):
        super().__init__(name, StoreOptions())
        self.reason = reason

    def check(self) -> None:
        """Raise Unavailable."""
        raise Unavailable(self.name, self.reason)

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Raise Unavailable."""
        raise Unavailable(self.name, self.reason)

    def size(self, location: str) -> int | None:
        """Raise Unavailable."""
        raise Unavailable(self.name, self.reason)
