"""The import methods that the stores support, and those that the caller may use."""

from __future__ import annotations

from calotype.api.http.request import Request
from calotype.model import policy
from calotype.stores.abilities import External
from calotype.stores.catalog import Catalog
from calotype.stores.contract import WritableStore


def import_methods(stores: Catalog) -> list[str]:
    """Return the methods that the stores support.

    Each method needs a writable store, and `web-download` also a store that reads from the web.
    """
    writable = [store for store in stores if store.can(WritableStore)]
    if not writable:
        return []
    web = any(store.can(External) and {"http", "https"} & set(store.schemes) for store in stores)
    return ["glance-direct", *(["web-download"] if web else []), "copy-image"]


def methods_for_caller(request: Request) -> list[str]:
    """Return the methods that the stores support, without `web-download` if the caller may not use it.

    `copy-image` is shown to everybody, because Tempest reads this list as a member and copies as an admin.
    """
    methods = import_methods(request.stores)
    if not policy.may_name_sources(request.caller, request.settings.external_sources):
        return [method for method in methods if method != "web-download"]
    return methods
