"""Metadata definitions: namespaces, the definitions in them, and the resource types that clients know.

The tables may exist already, because they belonged to the core's schema before they became an extension.
"""

import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from calotype.database.migrate import exact_text

revision = "metadefs_1"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
#: A new database has these types, because some clients use the first type in the list without a check.
RESOURCE_TYPES = (
    "OS::Cinder::Volume",
    "OS::Glance::Image",
    "OS::Nova::Aggregate",
    "OS::Nova::Flavor",
    "OS::Nova::Server",
)


def upgrade() -> None:
    options = {**exact_text(op.get_bind().dialect), "if_not_exists": True}
    op.create_table(
        "metadef_namespaces",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("namespace", sa.String(80), nullable=False),
        sa.Column("display_name", sa.String(80)),
        sa.Column("description", sa.Text()),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metadef_namespaces"),
        sa.UniqueConstraint("namespace", name="uq_metadef_namespaces_namespace"),
        **options,
    )
    op.create_table(
        "metadef_definitions",
        sa.Column("namespace_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace_id"],
            ["metadef_namespaces.id"],
            name="fk_metadef_definitions_namespace_id_metadef_namespaces",
        ),
        sa.PrimaryKeyConstraint("namespace_id", "kind", "name", name="pk_metadef_definitions"),
        **options,
    )
    resource_types = op.create_table(
        "metadef_resource_types",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_metadef_resource_types"),
        **options,
    )
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    present = set(op.get_bind().scalars(sa.select(resource_types.c.name)))
    missing = [name for name in RESOURCE_TYPES if name not in present]
    if missing:
        rows = [{"name": name, "created_at": now, "updated_at": now} for name in missing]
        op.get_bind().execute(resource_types.insert(), rows)
