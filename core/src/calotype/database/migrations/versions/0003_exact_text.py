"""MariaDB and MySQL: texts are equal if all their characters are, as in the other databases.

Their own way would take "My Image" for "my image", and two such names of properties for one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Those whose rows belong to an image, by a key that may be away when this is begun again.
OF_AN_IMAGE = ("image_properties", "image_locations", "image_tags", "image_members", "jobs")
TABLES = ("images", *OF_AN_IMAGE, "project_usage")


def upgrade() -> None:
    if (dialect := op.get_bind().dialect).name in ("mysql", "mariadb"):
        # Without padding: a blank at the end counts, too.
        _collate("utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin")


def downgrade() -> None:
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        _collate(op.get_bind().scalar(sa.text("SELECT @@collation_database")))


def _collate(collation: str) -> None:
    """Both ends of a foreign key must change, one after the other: so keys are away meanwhile."""
    for table in OF_AN_IMAGE:
        op.drop_constraint(f"fk_{table}_image_id_images", table, type_="foreignkey")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
    for table in OF_AN_IMAGE:
        op.create_foreign_key(f"fk_{table}_image_id_images", table, "images", ["image_id"], ["id"])
