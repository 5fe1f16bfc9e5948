"""Counts of downloads."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ImageDay:
    """An image and a day in UTC, for which downloads are counted."""

    image_id: str
    day: datetime.date
