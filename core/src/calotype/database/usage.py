"""Usage: the bytes and images of each project, counted in one row so that one statement checks a limit."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, insert, select, update

from calotype.database.errors import LimitReached
from calotype.database.statements import Queries, UnitPart
from calotype.database.tables import ImageRow, LocationRow, UsageRow
from calotype.model.images import LocationState
from calotype.model.states import Status
from calotype.model.usage import Incoming, Limits, Usage

_USAGE = UsageRow.__table__

# Built once, because building a statement costs more than running it.
_COUNT = (
    update(_USAGE)
    .where(_USAGE.c.project == bindparam("of_project"))
    .values(bytes=_USAGE.c.bytes + bindparam("more_bytes"), images=_USAGE.c.images + bindparam("more_images"))
)


class UsageQueries(Queries):
    """The queries for the usage of projects."""

    def usage(self, project: str) -> Usage:
        """Return the usage of a project."""
        row = self._first(select(_USAGE.c.bytes, _USAGE.c.images).where(_USAGE.c.project == project))
        return Usage(0, 0) if row is None else Usage(*row)

    def incoming(self, project: str) -> Incoming:
        """Count the images of a project that are getting bytes, and its staged bytes."""
        i, c = ImageRow, LocationRow
        coming = (Status.SAVING, Status.UPLOADING, Status.IMPORTING)
        images = select(func.count()).where(i.owner == project, i.deleted_at.is_(None), i.status.in_(coming))
        staged = (
            select(func.coalesce(func.sum(c.counted), 0))
            .join(i, i.id == c.image_id)
            .where(i.owner == project, c.state == LocationState.STAGED)
        )
        (counts,) = self._all(select(images.scalar_subquery(), staged.scalar_subquery()))
        return Incoming(*map(int, counts))


class UsageUnit(UnitPart):
    """The methods of a unit of work that change the usage of projects."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._counted: dict[tuple[str, Limits], tuple[int, int]] = {}

    def count(self, project: str | None, limits: Limits, *, images: int = 0, size: int = 0) -> None:
        """Add to a project's usage when the unit ends. The limits are checked then, too.

        A unit changes a project's row with one statement, as its last change, because all uploads of a
        project wait for the lock of this row.
        """
        if project is not None:
            images_before, size_before = self._counted.get((project, limits), (0, 0))
            self._counted[project, limits] = images_before + images, size_before + size

    def write_usage(self) -> None:
        """Write the usage that the unit has counted.

        Raises:
            LimitReached: a project would use more than its limits allow.
        """
        # The order is always the same, because units with different orders could deadlock.
        for project, limits in sorted(self._counted, key=lambda one: one[0]):
            images, size = self._counted[project, limits]
            if images or size:
                self._write_count(project, limits, images, size)

    def _write_count(self, project: str, limits: Limits, images: int, size: int) -> None:
        swap = _COUNT
        # Usage that shrinks is never refused, even if the limit was lowered meanwhile.
        if size > 0 and limits.bytes is not None:
            swap = swap.where(_USAGE.c.bytes + size <= limits.bytes)
        if images > 0 and limits.images is not None:
            swap = swap.where(_USAGE.c.images + images <= limits.images)
        added = {"of_project": project, "more_bytes": size, "more_images": images}
        if self.connection.execute(swap, added).rowcount == 1:
            return
        used = self.connection.scalar(select(_USAGE.c.images).where(_USAGE.c.project == project))
        if used is None:
            self.start_usage(project)
            self._write_count(project, limits, images, size)
        elif images > 0 and limits.images is not None and used + images > limits.images:
            raise LimitReached(limits.images, "images")
        else:
            raise LimitReached(limits.bytes, "bytes")

    def start_usage(self, project: str) -> None:
        """Insert a project's row, with a usage of zero.

        Raises:
            IntegrityError: the row exists, because another process was faster.
        """
        self.connection.execute(insert(_USAGE), {"project": project, "bytes": 0, "images": 0})
