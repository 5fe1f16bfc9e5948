"""MariaDB and MySQL: texts are equal if all their characters are, as in the other databases.

Their own way would take "My Image" for "my image", and two such names of properties for one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "images",
    "image_properties",
    "image_locations",
    "image_tags",
    "image_members",
    "project_usage",
    "jobs",
)


def upgrade() -> None:
    if (dialect := op.get_bind().dialect).name in ("mysql", "mariadb"):
        # Without padding: a blank at the end counts, too.
        _collate("utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin")


def downgrade() -> None:
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        _collate(op.get_bind().scalar(sa.text("SELECT @@collation_database")))


def _collate(collation: str) -> None:
    """Both ends of a foreign key must change, one after the other: so keys are away meanwhile."""
    inspector = sa.inspect(op.get_bind())
    keys = [(table, key) for table in TABLES for key in inspector.get_foreign_keys(table)]
    for table, key in keys:
        op.drop_constraint(key["name"], table, type_="foreignkey")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
    for table, key in keys:
        op.create_foreign_key(
            key["name"],
            table,
            key["referred_table"],
            key["constrained_columns"],
            key["referred_columns"],
            ondelete=key["options"].get("ondelete"),
        )
