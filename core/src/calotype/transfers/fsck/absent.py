"""Stores that hold images, but are switched off or not configured."""

from __future__ import annotations

from collections.abc import Iterator

from calotype.database.database import Database
from calotype.stores.catalog import Catalog
from calotype.stores.contract import Store
from calotype.stores.errors import Unavailable
from calotype.stores.options import StoreOptions
from calotype.stores.values import Reader


def absent_stores(database: Database, stores: Catalog) -> Iterator[AbsentStore]:
    """Yield each store that is not in the catalog, although it holds images or has open findings."""
    for name in database.stores_in_use():
        if name not in stores:
            off = stores.off.get(name)
            yield AbsentStore(name, f"the store is off: {off}" if off else "it is not configured")


def find_unreadable(database: Database, stores: Catalog) -> list[str]:
    """Return a warning for each absent store that holds images."""
    return [
        f"the database has {count} images in store '{store.name}', but their bytes there cannot be read: "
        f"{store.reason}"
        for store in absent_stores(database, stores)
        if (count := database.count_images_in(store.name))
    ]


class AbsentStore(Store):
    """A store that is always unavailable, for the same reason."""

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
