"""The tables. `images` keeps one row for every image that ever was: a deleted one stays as a tombstone."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine


class UTCDateTime(TypeDecorator[datetime.datetime]):
    """An aware UTC time with microseconds, kept without zone: the one form that all databases share."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MySQL keeps fractions of a second only when told so."""
        if dialect.name in ("mysql", "mariadb"):
            from sqlalchemy.dialects import mysql

            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Aware -> naive UTC."""
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Naive UTC -> aware."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


#: Names every constraint, so that migrations can name it on every database.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The core's tables."""

    metadata = MetaData(naming_convention=NAMING)
    if TYPE_CHECKING:
        # SQLAlchemy declares a FromClause, because a class may map anything; ours map tables.
        __table__: ClassVar[Table]


class ImageRow(Base):
    """An image's metadata."""

    __tablename__ = "images"
    # A list reads slices of these: who may see it, what is alive, in the usual order.
    __table_args__ = (
        Index("ix_images_listing", "visibility", "deleted_at", "created_at", "id"),
        Index("ix_images_owner", "owner", "deleted_at", "created_at", "id"),
        Index("ix_images_all", "deleted_at", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(16))
    status_reason: Mapped[str | None] = mapped_column(Text)
    visibility: Mapped[str] = mapped_column(String(16))
    protected: Mapped[bool] = mapped_column(Boolean)
    owner: Mapped[str | None] = mapped_column(String(255))
    disk_format: Mapped[str | None] = mapped_column(String(20))
    container_format: Mapped[str | None] = mapped_column(String(20))
    min_disk: Mapped[int] = mapped_column(Integer)
    min_ram: Mapped[int] = mapped_column(Integer)
    os_hidden: Mapped[bool] = mapped_column(Boolean)
    size: Mapped[int | None] = mapped_column(BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(BigInteger)
    detected_format: Mapped[str | None] = mapped_column(String(20))
    checksum: Mapped[str | None] = mapped_column(String(32))
    os_hash_algo: Mapped[str | None] = mapped_column(String(64))
    os_hash_value: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    # When the image first had its bytes, which never change after that.
    activated_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    deleted_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    # The status a deleted image had, to come back to.
    deleted_from: Mapped[str | None] = mapped_column(String(16))


class PropertyRow(Base):
    """One of an image's properties."""

    __tablename__ = "image_properties"
    __table_args__ = (Index("ix_image_properties_name", "name"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    # MariaDB's and MySQL's TEXT ends at 65,535 bytes.
    value: Mapped[str] = mapped_column(Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"))


class TagRow(Base):
    """One of an image's tags."""

    __tablename__ = "image_tags"
    __table_args__ = (Index("ix_image_tags_tag", "tag"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(255), primary_key=True)


class MemberRow(Base):
    """A project that an image is shared with."""

    __tablename__ = "image_members"
    __table_args__ = (Index("ix_image_members_project", "project", "status"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    project: Mapped[str] = mapped_column(String(255), primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    can_share: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())


class UsageRow(Base):
    """What a project's images take: the sum over its rows, kept so that a limit is one statement."""

    __tablename__ = "project_usage"

    project: Mapped[str] = mapped_column(String(255), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    images: Mapped[int] = mapped_column(Integer)


class LocationRow(Base):
    """Bytes of an image: intended, stored or doomed. Written before the first byte moves."""

    __tablename__ = "image_locations"
    __table_args__ = (
        Index("ix_image_locations_image_id", "image_id"),
        Index("ix_image_locations_lease", "state", "lease_until"),
        Index("ix_image_locations_location", "store", "location", mysql_length={"location": 255}),
        Index("ix_image_locations_checked", "store", "state", "checked_at"),
    )

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"))
    store: Mapped[str] = mapped_column(String(63))
    location: Mapped[str | None] = mapped_column(String(1024))
    state: Mapped[str] = mapped_column(String(16))
    external: Mapped[bool] = mapped_column(Boolean)
    # Bytes counted against the owner's limit: reserved while they come, exact once they are stored.
    counted: Mapped[int] = mapped_column(BigInteger)
    # Until when others leave the row alone; past it, whoever sweeps may end the attempt or remove the bytes.
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    # The status that an attempt which fails leaves its image in.
    on_failure: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    # When the bytes were last read and compared with the image's hash; None: never since they were stored.
    checked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    # Set while the last check found the copy damaged or gone: it is not served, and its bytes stay.
    quarantined_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())


class JobRow(Base):
    """Work that outlives its request; see `calotype.transfers.jobs`."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_open", "status", "created_at"),
        Index("ix_jobs_image_id", "image_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"))
    status: Mapped[str] = mapped_column(String(16))
    order: Mapped[dict] = mapped_column("job_order", JSON)
    outcome: Mapped[dict] = mapped_column(JSON)
    message: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(255))
    user: Mapped[str | None] = mapped_column("job_user", String(255))
    request_id: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    # A job that waits for a store or the database: not taken before this moment, waiting since that one.
    not_before: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    waiting_since: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())


class IdentityRow(Base):
    """The database's own id, in one row. Markers of stores hold it: no other database may use them."""

    __tablename__ = "registry_identity"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())


class FindingRow(Base):
    """Something wrong that fsck or the scrubber found. `subject`: a key, or an orphan's location."""

    __tablename__ = "findings"
    __table_args__ = (
        Index("ix_findings_state", "state", "store", "kind"),
        Index("ix_findings_image_id", "image_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    store: Mapped[str] = mapped_column(String(63))
    image_id: Mapped[str | None] = mapped_column(String(36))
    subject: Mapped[str] = mapped_column(String(1024))
    detail: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    found_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    seen_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    closed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())


class ScrubRow(Base):
    """How far the scrubber is with a store, and which process does it now."""

    __tablename__ = "scrubs"

    store: Mapped[str] = mapped_column(String(63), primary_key=True)
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    # The pass that goes on, or went on last: counts of copies, and why it was stopped if it was.
    began_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    ended_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime())
    checked: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    stopped: Mapped[str | None] = mapped_column(Text)


class ProcessRow(Base):
    """A process that serves, or was killed; one that ends properly removes its row."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    seen_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())


class AuditRow(Base):
    """A change of an image, and who made it; see `calotype.database.audit`. It outlives whatever it names."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_image_id", "image_id"),
        Index("ix_audit_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    verb: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    image_id: Mapped[str | None] = mapped_column(String(36))
    user_id: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[str | None] = mapped_column(String(255))
    token_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(80))
    agent: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(Text)
