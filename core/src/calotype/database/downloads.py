"""Downloads, counted for each image and day: the queries for them, and the verbs of a unit of work."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from calotype.database.retry import LockConflict
from calotype.database.statements import Queries, UnitPart
from calotype.database.tables import DownloadRow
from calotype.model.downloads import ImageDay

_DOWNLOADS = DownloadRow.__table__
_D = _DOWNLOADS.c

# Built once, because building a statement costs more than running it.
_ADD = (
    update(_DOWNLOADS)
    .where(_D.image_id == bindparam("of_image"), _D.day == bindparam("on_day"))
    .values(downloads=_D.downloads + bindparam("more"))
)


class Downloads(Queries):
    """The queries for counted downloads."""

    def first_day(self) -> datetime.date | None:
        """Return the oldest day that has a count; None if there is none."""
        return self._scalars(select(func.min(_D.day)))[0]

    def of(self, image_id: str) -> dict[datetime.date, int]:
        """Return the counts of an image by day, oldest first. A day on which nobody read it is left out."""
        counted = select(_D.day, _D.downloads).where(_D.image_id == image_id).order_by(_D.day)
        return {row[0]: row[1] for row in self._all(counted)}


class DownloadsUnit(UnitPart):
    """The methods of a unit of work that change counted downloads."""

    def add(self, counts: Mapping[ImageDay, int]) -> None:
        """Add to the counts of images and days. A count of 0 only records that the image was read.

        Raises:
            LockConflict: another process has inserted one of the rows at the same time.
        """
        ids, days = {one.image_id for one in counts}, {one.day for one in counts}
        found = select(_D.image_id, _D.day).where(_D.image_id.in_(ids), _D.day.in_(days))
        there = {ImageDay(*row) for row in self.connection.execute(found)}
        # Sorted, because two units that lock rows in different orders could deadlock.
        known, new = sorted(there.intersection(counts)), sorted(counts.keys() - there)
        more = [{"of_image": one.image_id, "on_day": one.day, "more": counts[one]} for one in known]
        fresh = [{"image_id": one.image_id, "day": one.day, "downloads": counts[one]} for one in new]
        if more:
            self.connection.execute(_ADD, more)
        try:
            if fresh:
                self.connection.execute(insert(_DOWNLOADS), fresh)
        except IntegrityError as error:
            raise LockConflict("Another process is counting the same downloads at the moment.") from error

    def forget(self, day: datetime.date) -> None:
        """Remove the counts of a day."""
        self.connection.execute(delete(_DOWNLOADS).where(_D.day == day))
