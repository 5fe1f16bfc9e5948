"""The tables of metadata definitions: namespaces, the definitions in them, and resource types."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import JSON, ForeignKey, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from calotype.database.columns import NAMING, UTCDateTime, Word
from calotype.model.images import Visibility


class Base(DeclarativeBase):
    """The tables of this extension, which belong to no other branch of migrations."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime.datetime: UTCDateTime()}
    if TYPE_CHECKING:
        __table__: ClassVar[Table]


class NamespaceRow(Base):
    """A namespace. Its definitions refer to its id, because its name may change."""

    __tablename__ = "metadef_namespaces"
    __table_args__ = (UniqueConstraint("namespace"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(String(80))
    visibility: Mapped[Visibility] = mapped_column(Word(Visibility))
    protected: Mapped[bool]
    owner: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]
    display_name: Mapped[str | None] = mapped_column(String(80))
    description: Mapped[str | None] = mapped_column(Text)


class DefinitionRow(Base):
    """A definition in a namespace: an object, a property, a tag, or an association with a resource type."""

    __tablename__ = "metadef_definitions"

    namespace_id: Mapped[int] = mapped_column(ForeignKey("metadef_namespaces.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    body: Mapped[dict] = mapped_column(JSON)
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]


class ResourceTypeRow(Base):
    """A type of resource that can have metadata. It is never removed."""

    __tablename__ = "metadef_resource_types"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]
