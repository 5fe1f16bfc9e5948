"""The image database: what the service knows of its images. No HTTP, no stores, no rule of the lifecycle.

Reading takes no transaction. Writing happens in units of work, which are short: none
is ever open while image bytes move.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import transaction
import zope.sqlalchemy
from sqlalchemy import Connection, Engine, func, literal, select, union
from sqlalchemy.exc import DatabaseError as DriverError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import sessionmaker
from zope.sqlalchemy.datamanager import STATUS_CHANGED

from calotype.database import findings, identity, parts, queries
from calotype.database.audit import AuditTrail
from calotype.database.disk_reserve import Reserve, is_full
from calotype.database.engine import read_only
from calotype.database.errors import DatabaseFull, DatabaseUnavailable
from calotype.database.identity import Identity
from calotype.database.jobs import JobQuestions
from calotype.database.locations import Locations
from calotype.database.pages import Page, Rows
from calotype.database.processes import Processes
from calotype.database.retry import LockConflict, is_lock_conflict
from calotype.database.scrubs import Scrubs
from calotype.database.tables import FindingRow, ImageRow, JobRow, LocationRow, UsageRow
from calotype.database.unit_of_work import Unit
from calotype.database.usage import UsageQuestions
from calotype.model.findings import Finding, FindingPage, FindingState
from calotype.model.images import Image, LocationState, Status
from calotype.model.queries import ImageQuery, Scope
from calotype.model.usage import Counts


class _ThreadManager(transaction.ThreadTransactionManager):
    """A transaction for each thread, begun explicitly, so that work outside of a unit is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.explicit = True


class Database(Locations, JobQuestions, UsageQuestions):
    """The image database; shared by all threads.

    `scrubs`, `processes` and `audit` have the questions about those. Without `keeps_audit` the changes of
    images are only logged. An extension reads its own tables through `reading`, and changes them in a `unit`.
    """

    def __init__(self, engine: Engine, reserve: Reserve | None = None, *, keeps_audit: bool = True):
        self.engine = engine
        self._reserve = reserve
        self._keeps_audit = keeps_audit
        self._reading = read_only(engine)
        self._counted: set[str] = set()
        self.scrubs = Scrubs(self._reader)
        self.processes = Processes(self._reader)
        self.audit = AuditTrail(self._reader)
        # Registered once on the factory, not on each session: that makes a unit cheap.
        self._manager = _ThreadManager()
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        # A unit always changes something, and zope.sqlalchemy sees no statement of Core's.
        zope.sqlalchemy.register(self._sessions, STATUS_CHANGED, self._manager)

    @contextlib.contextmanager
    def unit(self, *, frees: bool = False) -> Iterator[Unit]:
        """Begin a unit of work; leaving it commits, an exception undoes it.

        `frees`: the unit deletes something, or ends what holds room. On a full disk only such units
        may use the room that is kept for them.

        Raises:
            LockConflict: another unit was in the way; nothing was committed (see `retry_on_conflict`).
            DatabaseFull: the database's disk is full; nothing was committed (see `retry_on_conflict`).
            DatabaseUnavailable: the database is locked or gone. When it is raised on
                leaving, the unit may have been committed all the same.
        """
        if not frees and not self.keep_reserve():
            raise DatabaseFull
        with self._room_made(frees), _named_errors(self.engine):
            begun = self._manager.begin()
            session = self._sessions()
            try:
                unit = Unit(session, begun, keeps_audit=self._keeps_audit)
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

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a connection for reading the tables of an extension; it takes no lock.

        Raises:
            DatabaseUnavailable: the database is locked or gone.
        """
        return self._reader()

    def identity(self) -> Identity:
        """Return the database's own id.

        Raises:
            NoIdentity: the database has lost it.
        """
        with self._reader() as connection:
            return identity.find(connection)

    def find(self, image_id: str) -> Image | None:
        """The image of that id; None if there is none, or it is deleted."""
        with self._reader() as connection:
            image = queries.find_image(connection, image_id)
        return None if image is None or image.status is Status.DELETED else image

    def find_visible(
        self, image_id: str, scope: Scope, project: str | None, *, deleted: bool = False
    ) -> Image | None:
        """The image of that id if a project sees it, with `deleted` its tombstone too; else None.

        An image out of sight takes as long as one that is not there, to a microsecond.
        """
        with self._reader() as connection:
            image = queries.find_visible(connection, image_id, scope, project)
        return image if image is None or deleted or image.status is not Status.DELETED else None

    def shared_with(self, project: str) -> list[Image]:
        """The undeleted images that are shared with a project, whatever it said to them."""
        with self._reader() as connection:
            return queries.images_shared_with(connection, project)

    def page(self, listing: ImageQuery, *, whole: bool = True) -> Page:
        """Return a slice of the images that a listing asks for, which reads them when it is iterated over.

        Without `whole` the images come without what belongs to them, by this one statement.
        """
        with self._reader() as connection:
            rows = queries.page_rows(connection, listing)
        read = self._complete if whole else parts.bare_all
        return Page(rows[: listing.limit], read, listing.sort, more=len(rows) > listing.limit)

    def _complete(self, rows: Rows) -> list[Image]:
        with self._reader() as connection:
            return parts.complete(connection, rows)

    def start_usage(self, project: str | None) -> None:
        """Make sure that a project's usage is counted, in a unit of its own.

        Two units that both insert the row within longer work would lock each other out on MariaDB.
        """
        if project is None or project in self._counted:
            return
        with self._reader() as connection:
            there = connection.execute(select(UsageRow.project).where(UsageRow.project == project)).first()
        if there is None:
            with contextlib.suppress(IntegrityError), self.unit() as unit:
                unit.start_usage(project)
        self._counted.add(project)

    def stores_in_use(self) -> list[str]:
        """Return the names of the stores that images have bytes in, or that open findings are about."""
        stored = select(LocationRow.store).where(LocationRow.state == LocationState.STORED)
        found = select(FindingRow.store).where(FindingRow.state == FindingState.OPEN)
        with self._reader() as connection:
            return sorted(connection.scalars(union(stored, found)))

    def findings(
        self,
        state: FindingState | None = None,
        store: str | None = None,
        limit: int = 100,
        after: Finding | None = None,
    ) -> FindingPage:
        """Return a slice of the findings, oldest first; `after` is the last one of the page before."""
        with self._reader() as connection:
            return findings.page(connection, state, store, limit, after)

    def find_finding(self, finding_id: str) -> Finding | None:
        """Return the finding with this id, whatever its state."""
        with self._reader() as connection:
            return findings.find(connection, finding_id)

    def census(self) -> Counts:
        """Count images, locations and jobs by status, and open findings; walks the tables, so ask seldom."""
        with self._reader() as connection:

            def count(column: Any) -> dict[str, int]:
                grouped = select(column, func.count()).group_by(column)
                return dict(connection.execute(grouped).all())

            return Counts(
                count(ImageRow.status),
                count(LocationRow.state),
                count(JobRow.status),
                findings.count_open(connection),
            )

    def check(self) -> None:
        """Return when the database answers and its disk has room.

        Raises:
            DatabaseFull: there is no room; images can be read and deleted all the same.
            DatabaseUnavailable: it does not answer.
        """
        with self._reader() as connection:
            connection.execute(select(literal(1)))
        if not self.keep_reserve() or (self._reserve is not None and self._reserve.is_low):
            raise DatabaseFull

    def keep_reserve(self) -> bool:
        """Return whether the reserve for full disks is there, after making it if there is room for it."""
        return self._reserve is None or self._reserve.keep()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _room_made(self, frees: bool) -> Iterator[None]:
        """Give the reserve up when a unit that frees room finds none."""
        try:
            yield
        except DatabaseFull as error:
            error.room_made = frees and self._reserve is not None and self._reserve.give_up()
            raise

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Connection]:
        with _named_errors(self.engine), self._reading.connect() as connection:
            yield connection


@contextlib.contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    """Tell a database that is away from a statement that is wrong."""
    driver = engine.dialect.loaded_dbapi  # its own errors come through where a connection is prepared
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
        # SQLite calls a database malformed of which it could not read a page: no error of the others' kinds.
        if error.connection_invalidated or type(error) is DriverError:
            raise DatabaseUnavailable("The image database is not available at the moment.") from error
        raise
