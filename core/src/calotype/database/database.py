"""The image database: all data about images, except their bytes.

Reads take no lock. Writes happen in units of work, which are short: no unit is open while bytes are
transferred.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import transaction
import zope.sqlalchemy
from sqlalchemy import Connection, Engine, String, func, literal, select, type_coerce
from sqlalchemy.exc import DatabaseError as DriverError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import sessionmaker
from zope.sqlalchemy.datamanager import STATUS_CHANGED

from calotype.database import identity, parts, queries
from calotype.database.attention import Attention
from calotype.database.audit import AuditTrail
from calotype.database.disk_reserve import Reserve, is_full
from calotype.database.downloads import Downloads
from calotype.database.engine import read_only
from calotype.database.errors import DatabaseFull, DatabaseUnavailable
from calotype.database.events import EventQueries, Outbox, Webhooks
from calotype.database.findings import FindingQueries
from calotype.database.identity import Identity
from calotype.database.jobs import JobQueries
from calotype.database.locations import LocationQueries
from calotype.database.overviews import Overviews
from calotype.database.pages import ImagePage, Rows
from calotype.database.processes import Processes
from calotype.database.retry import LockConflict, is_lock_conflict
from calotype.database.scrubs import Scrubs
from calotype.database.sessions import Sessions
from calotype.database.tables import FindingRow, ImageRow, JobRow, LocationRow, UsageRow
from calotype.database.unit_of_work import Unit
from calotype.database.usage import UsageQueries
from calotype.database.webhooks import WebhookQueries
from calotype.database.write_queue import write_turns
from calotype.model.findings import FindingState
from calotype.model.images import Image
from calotype.model.queries import ImageQuery, Scope
from calotype.model.states import Status
from calotype.model.usage import Counts


class _ThreadManager(transaction.ThreadTransactionManager):
    """A manager of one transaction per thread. Work outside of a unit is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.explicit = True


class Database(LocationQueries, JobQueries, UsageQueries, FindingQueries):
    """The image database, shared by all threads.

    `scrubs`, `processes`, `sessions`, `audit`, `events`, `webhooks` and `downloads` have the queries for the
    scrubber's rows, for serving processes, for upload sessions, for the audit trail, for events, for webhooks
    and for counted downloads. `overviews` and `attention` have those for operators. If `keeps_audit` is
    false, changes of images are only logged. An extension reads its own tables through `reading`, and
    changes them in a `unit`.
    """

    def __init__(
        self,
        engine: Engine,
        reserve: Reserve | None = None,
        *,
        keeps_audit: bool = True,
        webhooks: Webhooks | None = None,
    ):
        super().__init__(self.reading)
        self.engine = engine
        self._reserve = reserve
        self._keeps_audit = keeps_audit
        self._reading = read_only(engine)
        self._counted: set[str] = set()
        self.scrubs = Scrubs(self.reading)
        self.processes = Processes(self.reading)
        self.sessions = Sessions(self.reading)
        self.audit = AuditTrail(self.reading)
        self.events = EventQueries(self.reading)
        self.webhooks = WebhookQueries(self.reading)
        self.downloads = Downloads(self.reading)
        self.overviews = Overviews(self.reading)
        self.attention = Attention(self.reading)
        self._webhooks = webhooks or {}
        self._turn = write_turns(engine)
        # Register on the factory instead of on each session, because that makes a unit cheap.
        self._manager = _ThreadManager()
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        # Every unit changes something, but zope.sqlalchemy does not notice SQLAlchemy's Core statements.
        zope.sqlalchemy.register(self._sessions, STATUS_CHANGED, self._manager)

    @contextlib.contextmanager
    def unit(self, *, frees: bool = False) -> Iterator[Unit]:
        """Begin a unit of work. Leaving it commits; an exception rolls it back.

        `frees` is true if the unit deletes something, or makes a deletion possible. On a full disk, only such
        units may use the reserve.

        Raises:
            LockConflict: another unit held a lock that this one needed. Nothing was committed (see
                `retry_on_conflict`).
            DatabaseFull: the database's disk is full. Nothing was committed (see `retry_on_conflict`).
            DatabaseUnavailable: the database is locked or does not answer. If the end of the block raises
                this error, the unit may have been committed.
        """
        if not frees and not self.keep_reserve():
            raise DatabaseFull
        with self._room_made(frees), _named_errors(self.engine):
            begun = self._manager.begin()
            session = self._sessions()
            try:
                with self._turn():
                    outbox = Outbox(self._webhooks)
                    unit = Unit(session, begun, outbox, keeps_audit=self._keeps_audit)
                    yield unit
                    unit.finish()
                    self._manager.commit()
            except BaseException:
                self._manager.abort()
                raise
            finally:
                session.close()
        for call in unit.due:
            call()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection for reading, which takes no lock.

        Raises:
            DatabaseUnavailable: the database is locked or does not answer.
        """
        with _named_errors(self.engine), self._reading.connect() as connection:
            yield connection

    def identity(self) -> Identity:
        """Return the database id.

        Raises:
            NoIdentity: the database has lost its id.
        """
        with self.reading() as connection:
            return identity.find(connection)

    def find(self, image_id: str) -> Image | None:
        """Return the image with this id; None if there is none, or if it is deleted."""
        with self.reading() as connection:
            image = queries.find_image(connection, image_id)
        return None if image is None or image.status is Status.DELETED else image

    def find_visible(
        self, image_id: str, scope: Scope, project: str | None, *, deleted: bool = False
    ) -> Image | None:
        """Return the image with this id if it is in the project's scope, or None.

        A deleted image is returned only if `deleted` is true. To a microsecond, an image outside of the scope
        takes as long as one that does not exist, so the time does not reveal which of the two it is.
        """
        with self.reading() as connection:
            image = queries.find_visible(connection, image_id, scope, project)
        return image if image is None or deleted or image.status is not Status.DELETED else None

    def audiences(self, image_ids: Collection[str]) -> dict[str, Image]:
        """Return these images with their members, but without other parts, by id; even deleted ones."""
        with self.reading() as connection:
            return queries.with_members(connection, image_ids)

    def shared_with(self, project: str) -> list[Image]:
        """Return the images that are shared with a project, except deleted and hidden ones."""
        with self.reading() as connection:
            return queries.images_shared_with(connection, project)

    def page(self, listing: ImageQuery, *, whole: bool = True) -> ImagePage:
        """Return a page of the images that match the query.

        The page reads the parts of its images when it is iterated over. If `whole` is false, it leaves the
        parts out, and executes no further statement.
        """
        with self.reading() as connection:
            rows = queries.page_rows(connection, listing)
        read = self._complete if whole else parts.bare_all
        return ImagePage(rows[: listing.limit], read, listing.sort, more=len(rows) > listing.limit)

    def _complete(self, rows: Rows) -> list[Image]:
        with self.reading() as connection:
            return parts.complete(connection, rows)

    def start_usage(self, project: str | None) -> None:
        """Insert the usage row of a project if it has none, in a separate unit.

        On MariaDB, two longer units that both insert this row would deadlock.
        """
        if project is None or project in self._counted:
            return
        if self._first(select(UsageRow.project).where(UsageRow.project == project)) is None:
            with contextlib.suppress(IntegrityError), self.unit() as unit:
                unit.start_usage(project)
        self._counted.add(project)

    def stores_in_use(self) -> list[str]:
        """Return the names of the stores that hold bytes of images, or that have open findings."""
        found = select(FindingRow.store).distinct().where(FindingRow.state == FindingState.OPEN)
        return sorted({*self.stores_with_images(), *self._scalars(found)})

    def census(self) -> Counts:
        """Count images, locations and jobs by status, and open findings. This reads whole tables."""

        def count(column: Any) -> dict[str, int]:
            # Read statuses as text, because a newer version may have written others.
            grouped = select(type_coerce(column, String()), func.count()).group_by(column)
            return {row[0]: row[1] for row in self._all(grouped)}

        findings = self._count_open_findings()
        return Counts(count(ImageRow.status), count(LocationRow.state), count(JobRow.status), findings)

    def check(self) -> None:
        """Check that the database answers and that its disk has space.

        Raises:
            DatabaseFull: the disk is full. Images can still be read and deleted.
            DatabaseUnavailable: the database does not answer.
        """
        self._all(select(literal(1)))
        if not self.keep_reserve() or (self._reserve is not None and self._reserve.is_low):
            raise DatabaseFull

    def keep_reserve(self) -> bool:
        """Create the reserve if the disk has space. Return False if it is configured, but does not exist."""
        return self._reserve is None or self._reserve.keep()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _room_made(self, frees: bool) -> Iterator[None]:
        """Give up the reserve if a unit that frees space finds the disk full."""
        try:
            yield
        except DatabaseFull as error:
            error.room_made = frees and self._reserve is not None and self._reserve.give_up()
            raise


@contextlib.contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    """Raise DatabaseUnavailable if the database is unreachable, busy or full. Other errors pass unchanged."""
    driver = engine.dialect.loaded_dbapi  # SQLAlchemy does not wrap errors in the setup of a connection
    try:
        yield
    except (
        OperationalError,
        InterfaceError,
        PoolTimeout,
        driver.OperationalError,
        driver.InterfaceError,
    ) as error:
        if is_lock_conflict(error):
            raise LockConflict("The image database is too busy at the moment.") from error
        if is_full(error, engine.url):
            raise DatabaseFull from error
        raise DatabaseUnavailable("The image database is not available at the moment.") from error
    except DBAPIError as error:
        # If SQLite cannot read a page, it reports a malformed database, as a plain DatabaseError.
        if error.connection_invalidated or type(error) is DriverError:
            raise DatabaseUnavailable("The image database is not available at the moment.") from error
        raise
