"""Usage: which project has how much, and which images nobody uses."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.keysets import Page
from calotype.model.overviews import Position, ProjectUsage, UnusedImage
from calotype.model.usage import Limits


@dataclass(frozen=True, slots=True)
class UnusedImages:
    """A page of unused images, oldest first.

    `counted_since` is the oldest day that has a counted download; None if there is none. Images that were
    downloaded only before that day are listed as never downloaded.
    """

    page: Page[UnusedImage]
    counted_since: datetime.date | None


def project_usage(database: Database, limit: int, skip: int = 0) -> Page[ProjectUsage]:
    """Return the usage of projects, most bytes first. `skip` is the number of projects on earlier pages."""
    return database.overviews.usage(limit, skip)


def project_limits(settings: Settings) -> Limits:
    """Return the limits on the usage of each project."""
    return Limits(settings.project_bytes, settings.project_images)


def unused_images(database: Database, days: int, limit: int, after: Position | None = None) -> UnusedImages:
    """Return the active images that became active more than `days` days ago and were not read since then.

    `after` is the position of the last image of the previous page.
    """
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    return UnusedImages(database.overviews.unused(since, limit, after), database.downloads.first_day())
