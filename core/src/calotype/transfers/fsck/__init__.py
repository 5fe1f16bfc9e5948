"""fsck: compare the database with what the stores hold, in both directions.

From a store to the database: an object without a row is an orphan. Objects younger than the plan's window are
skipped, because their uploads may still be running. From the database to a store: each copy of an image must
exist there and have the right size. If the bytes are read too, they must have the right digest.

Nothing is changed unless the operator asks for a repair, and a repair removes only objects without a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calotype.database.database import Database
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.transfers.fsck.absent import absent_stores
from calotype.transfers.fsck.check import Check
from calotype.transfers.fsck.steps import Plan


def checks(
    database: Database,
    stores: Catalog,
    plan: Plan,
    may_repair: Callable[[CheckedStore], str | None],
    only: str | None = None,
) -> Iterator[Check]:
    """Yield a check of each store that is configured or holds bytes of images, or only of the store `only`.

    `may_repair` returns the reason if nothing may be removed from a store, otherwise None.
    """
    for store in stores:
        if only in (None, store.name):
            yield Check(database, store, plan, may_repair(store))
    for absent in absent_stores(database.stores_in_use(), stores):
        if only in (None, absent.name):
            yield Check(database, CheckedStore(absent), plan)
