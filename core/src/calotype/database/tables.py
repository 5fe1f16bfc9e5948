"""The tables. A deleted image keeps its row in `images`, as a tombstone."""

from __future__ import annotations

import datetime

from sqlalchemy import JSON, BigInteger, Computed, ForeignKey, Index, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from calotype.database.columns import Base, Word
from calotype.model.audit import Agent, Outcome
from calotype.model.findings import FindingKind, FindingState
from calotype.model.images import LocationState, MemberStatus, Visibility
from calotype.model.jobs import JobKind, JobStatus
from calotype.model.sessions import PartState, SessionStatus
from calotype.model.states import Status

#: The number of characters of a property's value that its index contains.
VALUE_START = 64


class ImageRow(Base):
    """An image's metadata."""

    __tablename__ = "images"
    # Each condition of a list's scope has an index here, in the default sort order of lists.
    __table_args__ = (
        Index("ix_images_listing", "visibility", "deleted_at", "created_at", "id"),
        Index("ix_images_owner", "owner", "deleted_at", "created_at", "id"),
        Index("ix_images_all", "deleted_at", "created_at", "id"),
        Index("ix_images_name", "name", "deleted_at", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[Status] = mapped_column(Word(Status))
    status_reason: Mapped[str | None] = mapped_column(Text)
    visibility: Mapped[Visibility] = mapped_column(Word(Visibility))
    protected: Mapped[bool]
    owner: Mapped[str | None] = mapped_column(String(255))
    disk_format: Mapped[str | None] = mapped_column(String(20))
    container_format: Mapped[str | None] = mapped_column(String(20))
    min_disk: Mapped[int]
    min_ram: Mapped[int]
    os_hidden: Mapped[bool]
    size: Mapped[int | None] = mapped_column(BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(BigInteger)
    detected_format: Mapped[str | None] = mapped_column(String(20))
    checksum: Mapped[str | None] = mapped_column(String(32))
    os_hash_algo: Mapped[str | None] = mapped_column(String(64))
    os_hash_value: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]
    # The time when the image first became active. Its bytes never change after that.
    activated_at: Mapped[datetime.datetime | None]
    deleted_at: Mapped[datetime.datetime | None]
    # The status that a deleted image had, and has again if it is undeleted.
    deleted_from: Mapped[Status | None] = mapped_column(Word(Status))


class PropertyRow(Base):
    """One of an image's properties."""

    __tablename__ = "image_properties"
    __table_args__ = (Index("ix_image_properties_value", "name", "value_start", "image_id"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    # MariaDB's and MySQL's TEXT holds 65,535 bytes at most.
    value: Mapped[str] = mapped_column(Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"))
    # The index needs a column of its own, because databases limit the length of what an index contains.
    value_start: Mapped[str | None] = mapped_column(
        String(VALUE_START), Computed(f"substr(value, 1, {VALUE_START})")
    )


class TagRow(Base):
    """One of an image's tags."""

    __tablename__ = "image_tags"
    __table_args__ = (Index("ix_image_tags_image", "tag", "image_id"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(255), primary_key=True)


class MemberRow(Base):
    """A project that an image is shared with."""

    __tablename__ = "image_members"
    __table_args__ = (Index("ix_image_members_project", "project", "status"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    project: Mapped[str] = mapped_column(String(255), primary_key=True)
    status: Mapped[MemberStatus] = mapped_column(Word(MemberStatus))
    can_share: Mapped[bool]
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]


class UsageRow(Base):
    """A project's usage, kept in one row so that one statement can check a limit."""

    __tablename__ = "project_usage"

    project: Mapped[str] = mapped_column(String(255), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    images: Mapped[int]


class LocationRow(Base):
    """A location: bytes of an image in one store. The row is written before the first byte moves."""

    __tablename__ = "image_locations"
    __table_args__ = (
        # SQLite has no statistics, and prefers the index with most of the query's columns.
        Index("ix_image_locations_image", "image_id", "state"),
        Index("ix_image_locations_stored", "store", "state", "key", "counted"),
        Index("ix_image_locations_lease", "state", "lease_until"),
        Index("ix_image_locations_location", "store", "location", mysql_length={"location": 255}),
        Index("ix_image_locations_checked", "store", "state", "checked_at"),
    )

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"))
    store: Mapped[str] = mapped_column(String(63))
    location: Mapped[str | None] = mapped_column(String(1024))
    state: Mapped[LocationState] = mapped_column(Word(LocationState))
    external: Mapped[bool]
    # Bytes counted against the owner's limit: as announced during the upload, exact once they are stored.
    counted: Mapped[int] = mapped_column(BigInteger)
    # After lease expiry, any process may end the attempt or remove the bytes.
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None]
    # The status of the image if the upload attempt fails.
    on_failure: Mapped[Status | None] = mapped_column(Word(Status))
    created_at: Mapped[datetime.datetime]
    # Bytes that the upload attempt has announced; null if it has announced none.
    announced: Mapped[int | None] = mapped_column(BigInteger)
    # Bytes that the upload attempt has moved so far, and the time when its process wrote this.
    moved: Mapped[int | None] = mapped_column(BigInteger)
    moved_at: Mapped[datetime.datetime | None]
    # The time when the scrubber last compared the bytes with the image's hash.
    checked_at: Mapped[datetime.datetime | None]
    # Set while the copy is in quarantine, because its last check found it damaged or missing.
    quarantined_at: Mapped[datetime.datetime | None]


class SessionRow(Base):
    """An upload session. Its blob's key has a row in `image_locations`, unless the session is partial."""

    __tablename__ = "upload_sessions"
    __table_args__ = (
        Index("ix_upload_sessions_image", "image_id", "status"),
        Index("ix_upload_sessions_project", "project", "status"),
        Index("ix_upload_sessions_expiry", "status", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    image_id: Mapped[str | None] = mapped_column(ForeignKey("images.id"))
    key: Mapped[str | None] = mapped_column("blob_key", String(80))
    store: Mapped[str] = mapped_column(String(63))
    status: Mapped[SessionStatus] = mapped_column(Word(SessionStatus))
    reason: Mapped[str | None] = mapped_column(Text)
    project: Mapped[str | None] = mapped_column(String(255))
    user: Mapped[str | None] = mapped_column("created_by", String(255))
    length: Mapped[int | None] = mapped_column("total", BigInteger)
    # Bytes that have arrived without a gap from the start.
    offset: Mapped[int] = mapped_column("contiguous", BigInteger)
    # The driver's token for the upload in parts; None if all parts are kept in the staging store.
    token: Mapped[str | None] = mapped_column(String(1024))
    cell_size: Mapped[int | None] = mapped_column(BigInteger)
    cell_step: Mapped[int | None] = mapped_column(Integer)
    cell_max: Mapped[int | None] = mapped_column(BigInteger)
    on_failure: Mapped[Status | None] = mapped_column(Word(Status))
    demands: Mapped[dict] = mapped_column(JSON)
    # Bytes of a partial session that are counted against the project's limit.
    counted: Mapped[int] = mapped_column(BigInteger)
    # The request that writes alone at this moment.
    writer: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime.datetime]
    expires_at: Mapped[datetime.datetime]
    # The process that makes the image of the bytes.
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None]
    # A text that the dialect keeps with the session.
    note: Mapped[str] = mapped_column(Text)


class PartRow(Base):
    """Consecutive bytes of an upload session, in the session's store or as a blob of the staging store."""

    __tablename__ = "upload_parts"
    __table_args__ = (
        Index("ix_upload_parts_session", "session_id", "state", "start"),
        Index("ix_upload_parts_blob", "store", "blob_key"),
        Index("ix_upload_parts_key", "blob_key"),
        Index("ix_upload_parts_state", "state"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("upload_sessions.id"))
    state: Mapped[PartState] = mapped_column(Word(PartState))
    start: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    # Of a part in the session's store: the number and the token of the driver's receipt.
    number: Mapped[int | None] = mapped_column(BigInteger)
    receipt: Mapped[str | None] = mapped_column(String(1024))
    # Of a part in the staging store: the store's name, and the key and location of the blob.
    store: Mapped[str | None] = mapped_column(String(63))
    key: Mapped[str | None] = mapped_column("blob_key", String(80))
    location: Mapped[str | None] = mapped_column(String(1024))


class JobRow(Base):
    """Work that outlives its request; see `calotype.transfers.jobs`."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_open", "status", "created_at"),
        Index("ix_jobs_image_id", "image_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[JobKind] = mapped_column(Word(JobKind))
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"))
    status: Mapped[JobStatus] = mapped_column(Word(JobStatus))
    order: Mapped[dict] = mapped_column("job_order", JSON)
    outcome: Mapped[dict] = mapped_column(JSON)
    message: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(255))
    user: Mapped[str | None] = mapped_column("job_user", String(255))
    request_id: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None]
    # If the job waits for a store: the time of the next retry, and the time when it began to wait.
    not_before: Mapped[datetime.datetime | None]
    waiting_since: Mapped[datetime.datetime | None]


class IdentityRow(Base):
    """The database id, in one row. Store markers contain it, so that no other database uses the stores."""

    __tablename__ = "registry_identity"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    created_at: Mapped[datetime.datetime]


class FindingRow(Base):
    """Something wrong that fsck or the scrubber saw. `subject` is a key, or the location of an orphan."""

    __tablename__ = "findings"
    __table_args__ = (
        Index("ix_findings_state", "state", "store", "kind"),
        Index("ix_findings_found", "state", "found_at", "id"),
        Index("ix_findings_image_id", "image_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[FindingKind] = mapped_column(Word(FindingKind))
    store: Mapped[str] = mapped_column(String(63))
    image_id: Mapped[str | None] = mapped_column(String(36))
    subject: Mapped[str] = mapped_column(String(1024))
    detail: Mapped[str] = mapped_column(Text)
    state: Mapped[FindingState] = mapped_column(Word(FindingState))
    found_at: Mapped[datetime.datetime]
    seen_at: Mapped[datetime.datetime]
    closed_at: Mapped[datetime.datetime | None]


class ScrubRow(Base):
    """The scrubber's last or current pass over a store, and the process that holds its lease."""

    __tablename__ = "scrubs"

    store: Mapped[str] = mapped_column(String(63), primary_key=True)
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None]
    began_at: Mapped[datetime.datetime]
    ended_at: Mapped[datetime.datetime | None]
    # Numbers of copies in this pass, and the reason if the pass was stopped.
    checked: Mapped[int]
    failed: Mapped[int]
    stopped: Mapped[str | None] = mapped_column(Text)


class ProcessRow(Base):
    """A serving process. It removes its row when it ends. If it is killed, the row stays."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime.datetime]
    seen_at: Mapped[datetime.datetime]


class DownloadRow(Base):
    """The downloads of an image that began on a day (UTC). A row of 0 is a day on which only parts were read.

    There is no foreign key: its check would lock the image's row for each write.
    """

    __tablename__ = "image_downloads"
    __table_args__ = (Index("ix_image_downloads_day", "day"),)

    image_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    day: Mapped[datetime.date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column("downloads", BigInteger)


class AuditRow(Base):
    """A change of an image, and the user who made it. The row stays after the image has been removed."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_image_id", "image_id"),
        Index("ix_audit_created_at", "created_at"),
        Index("ix_audit_outcome", "outcome", "created_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    created_at: Mapped[datetime.datetime]
    verb: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[Outcome] = mapped_column(Word(Outcome))
    image_id: Mapped[str | None] = mapped_column(String(36))
    user_id: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[str | None] = mapped_column(String(255))
    token_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(80))
    agent: Mapped[Agent] = mapped_column(Word(Agent))
    detail: Mapped[str] = mapped_column(Text)
