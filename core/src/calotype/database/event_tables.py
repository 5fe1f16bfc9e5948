"""The tables of events and webhooks. The other tables are in `tables`."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from calotype.database.tables import Base, Word
from calotype.model.events import EventKind
from calotype.model.states import Status

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class EventRow(Base):
    """An event of an image, written in the transaction that changes the image (an outbox)."""

    __tablename__ = "events"
    # Without this, SQLite would use the number of a removed row again.
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    id: Mapped[str] = mapped_column(String(36))
    kind: Mapped[EventKind] = mapped_column(Word(EventKind))
    image_id: Mapped[str] = mapped_column(String(36))
    status: Mapped[Status] = mapped_column(Word(Status))
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime.datetime] = mapped_column("created_at")


class DeliveryRow(Base):
    """An event that a webhook's receiver has not accepted yet. The row is removed once it has."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("ix_webhook_deliveries_order", "webhook", "image_id", "number"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    webhook: Mapped[str] = mapped_column(String(63))
    id: Mapped[str] = mapped_column(String(36))
    kind: Mapped[EventKind] = mapped_column(Word(EventKind))
    image_id: Mapped[str] = mapped_column(String(36))
    status: Mapped[Status] = mapped_column(Word(Status))
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime.datetime] = mapped_column("created_at")
    attempts: Mapped[int]
    # The time of the next attempt; null before the first one.
    not_before: Mapped[datetime.datetime | None]


class WebhookRow(Base):
    """A webhook's lease, which lets one process at a time deliver its events, and its last results."""

    __tablename__ = "webhooks"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    lease_owner: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime.datetime | None]
    delivered_at: Mapped[datetime.datetime | None]
    failed_at: Mapped[datetime.datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
