"""The import methods that the configured stores allow."""

from __future__ import annotations

from tintype.stores.catalog import Catalog
from tintype.stores.contract import Capability


def import_methods(stores: Catalog) -> list[str]:
    """Names of the methods: there must be a store to write to, and for the web one that reads it."""
    writable = [store for store in stores if store.can(Capability.WRITE)]
    if not writable:
        return []
    web = any(store.can(Capability.EXTERNAL) and {"http", "https"} & set(store.schemes) for store in stores)
    return ["glance-direct", *(["web-download"] if web else []), "copy-image"]
