"""Pending removals: the bytes that sweeps will remove, when, and why."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from calotype.database.database import Database
from calotype.database.keysets import Page
from calotype.model.overviews import PendingKind, PendingRemoval, Position
from calotype.operations.merging import merge


def pending_removals(database: Database, limit: int, after: Position | None = None) -> Page[PendingRemoval]:
    """Return the abandoned uploads, the blobs in pending delete and the open sessions, first due first.

    An abandoned upload is due since the end of its lease, and a sweep watches it for two thirds of a lease
    before it ends the upload. `after` is the position of the last removal of the previous page.
    """
    now = datetime.datetime.now(datetime.UTC)
    pages = (
        database.attention.removable_blobs(PendingKind.ABANDONED, now, limit, after),
        database.attention.removable_blobs(PendingKind.DELETED, now, limit, after),
        database.attention.expiring_sessions(limit, after),
    )
    return merge(pages, limit)


def count_pending(database: Database) -> Mapping[PendingKind, int]:
    """Count the pending removals of each kind."""
    return database.attention.count_pending(datetime.datetime.now(datetime.UTC))
