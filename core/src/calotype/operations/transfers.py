"""Running transfers: who uploads now, and how fast."""

from __future__ import annotations

import datetime

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.keysets import Page
from calotype.model.overviews import Position, RunningTransfer
from calotype.operations.merging import merge


def running_transfers(
    database: Database, settings: Settings, limit: int, after: Position | None = None
) -> Page[RunningTransfer]:
    """Return the uploads, imports and copies that run now, and the open upload sessions, oldest first.

    An upload that ended less than a lease ago may still be listed if its process was killed. `after` is the
    position of the last transfer of the previous page.
    """
    expiry = datetime.timedelta(seconds=settings.upload_expiry)
    pages = (
        database.overviews.attempts(limit, after),
        database.overviews.sessions(limit, after, expiry),
    )
    return merge(pages, limit)
