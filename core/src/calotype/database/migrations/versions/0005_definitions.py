"""Metadata definitions: namespaces, what stands in them, and the types of resources that clients know."""

import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
#: There from the beginning: clients take the first one of the list, so there must be one.
RESOURCE_TYPES = (
    "OS::Cinder::Volume",
    "OS::Glance::Image",
    "OS::Nova::Aggregate",
    "OS::Nova::Flavor",
    "OS::Nova::Server",
)


def upgrade() -> None:
    exact = _exact_text()
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
        **exact,
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
        **exact,
    )
    resource_types = op.create_table(
        "metadef_resource_types",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_metadef_resource_types"),
        **exact,
    )
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    there = set(op.get_bind().scalars(sa.select(resource_types.c.name)))  # this may be begun again
    missing = [name for name in RESOURCE_TYPES if name not in there]
    if missing:
        rows = [{"name": name, "created_at": now, "updated_at": now} for name in missing]
        op.get_bind().execute(resource_types.insert(), rows)


def downgrade() -> None:
    op.drop_table("metadef_resource_types")
    op.drop_table("metadef_definitions")
    op.drop_table("metadef_namespaces")


def _exact_text() -> dict[str, str]:
    """As 0003 has it: on MariaDB and MySQL, too, texts are equal if all their characters are."""
    dialect = op.get_bind().dialect
    if dialect.name not in ("mysql", "mariadb"):
        return {}
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    return {f"{dialect.name}_charset": "utf8mb4", f"{dialect.name}_collate": collation}
