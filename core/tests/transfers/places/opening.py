"""Open places over drivers that keep their bytes in memory."""

import io

from calotype.stores import Store, Unavailable
from calotype.stores.catalog import Catalog, Entry
from calotype.stores.checked import CheckedStore
from calotype.stores.core_options import CoreOptions
from calotype.stores.discovery import Driver
from calotype.testing import MemoryStore
from calotype.transfers.places import Places


def catalog(*drivers: Store, create: bool = False, read_only: bool = False) -> Catalog:
    entries = {
        driver.name: Entry(
            CheckedStore(driver, read_only=read_only),
            Driver(driver.name, type(driver), "tests", "1"),
            CoreOptions(create=create),
        )
        for driver in drivers
    }
    return Catalog(entries, drivers[0].name)


def open_place(database, driver, **kw):
    places = Places(database, catalog(driver, **kw))
    return places, places[driver.name]


def put(options, key="k", data=b"bytes"):
    return MemoryStore("other", options).add(key, io.BytesIO(data)).location


class Away(MemoryStore):
    away = True

    def __getattribute__(self, name):
        if name in ("get", "check", "create", "add", "delete", "discard") and type(self).away:
            raise Unavailable("a", "away")
        return super().__getattribute__(name)


USES = {
    "add": lambda store: store.add("k", io.BytesIO(b"x")),
    "delete": lambda store: store.delete("blob:k"),
    "discard": lambda store: store.discard("k"),
    "get": lambda store: store.get("blob:k"),
    "size": lambda store: store.size("blob:k"),
    "blobs": lambda store: list(store.blobs()),
    "attempts": lambda store: list(store.attempts()),
    "check": lambda store: store.check(),
}
