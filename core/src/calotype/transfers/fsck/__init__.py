"""fsck: compare the database with what the stores hold, in both directions.

Store to database: an object that belongs to no row is an orphan. Database to store: each copy of
an image's bytes is looked for; it can be missing, of the wrong size or, where the bytes are read
too, of the wrong digest. Objects younger than a window are never judged. Nothing is changed unless
repairing is asked for, and then only objects that belong to nobody are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calotype.database.database import Database
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import StoreError
from calotype.transfers.fsck.absent import AbsentCheck
from calotype.transfers.fsck.check import Check
from calotype.transfers.fsck.steps import Plan, Problem, Progress, Refused, Step

__all__ = ["AbsentCheck", "Check", "Plan", "Problem", "Progress", "Refused", "Step", "checks"]


def checks(
    database: Database,
    stores: Catalog,
    plan: Plan,
    may_repair: Callable[[CheckedStore], str | None],
    only: str | None = None,
) -> Iterator[Check | AbsentCheck]:
    """Return a check of each store that is configured or that images have bytes in; or of that one only.

    `may_repair` returns why a store must not be repaired, None if it may.
    """
    for store in stores:
        if only in (None, store.name):
            yield Check(database, store, plan, _refusal(store, may_repair))
    for name in database.stores_in_use():
        if name not in stores and only in (None, name):
            off = stores.off.get(name)
            yield AbsentCheck(database, name, f"the store is off: {off}" if off else "it is not configured")


def _refusal(store: CheckedStore, may_repair: Callable[[CheckedStore], str | None]) -> str | None:
    try:
        return may_repair(store)
    except StoreError as error:
        return f"whose place it is cannot be told: {error.reason}"
