"""Failures: what failed and why, in one list."""

from __future__ import annotations

from calotype.database.database import Database
from calotype.database.keysets import Page
from calotype.model.overviews import Failure, Position
from calotype.operations.merging import merge


def failures(database: Database, limit: int, after: Position | None = None) -> Page[Failure]:
    """Return the failed changes of images, the open findings and the failing webhooks, newest first.

    Failed changes are those in the audit trail, so they are kept for `calotype.audit_retention`. `after` is
    the position of the last failure of the previous page.

    Raises:
        ValueError: `after` is not a position in this list.
    """
    failing = tuple(
        one for one in database.attention.failing_webhooks() if after is None or one.position < after
    )
    pages = (
        database.attention.failed_changes(limit, after),
        database.attention.open_findings(limit, after),
        Page(failing, more=False),
    )
    return merge(pages, limit, newest_first=True)
