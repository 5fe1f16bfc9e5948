"""The tables of the metadata definitions: namespaces, what stands in them, and resource types."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import JSON, Boolean, ForeignKey, Integer, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from calotype.database.tables import NAMING, UTCDateTime


class Base(DeclarativeBase):
    """The tables of this extension; no other branch of migrations knows them."""

    metadata = MetaData(naming_convention=NAMING)
    if TYPE_CHECKING:
        __table__: ClassVar[Table]


class NamespaceRow(Base):
    """A namespace; its name may change, so what stands in it refers to its id."""

    __tablename__ = "metadef_namespaces"
    __table_args__ = (UniqueConstraint("namespace"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    namespace: Mapped[str] = mapped_column(String(80))
    display_name: Mapped[str | None] = mapped_column(String(80))
    description: Mapped[str | None] = mapped_column(Text)
    visibility: Mapped[str] = mapped_column(String(16))
    protected: Mapped[bool] = mapped_column(Boolean)
    owner: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())


class DefinitionRow(Base):
    """A named thing in a namespace: an object, a property, a tag, or what it says of a resource type."""

    __tablename__ = "metadef_definitions"

    namespace_id: Mapped[int] = mapped_column(ForeignKey("metadef_namespaces.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    body: Mapped[dict] = mapped_column(JSON)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())


class ResourceTypeRow(Base):
    """A type of resource that metadata can be set on; once named, it stays."""

    __tablename__ = "metadef_resource_types"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime())
