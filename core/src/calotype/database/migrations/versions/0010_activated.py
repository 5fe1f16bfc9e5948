"""When images first had their bytes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    with op.batch_alter_table("images") as images:
        images.add_column(sa.Column("activated_at", MOMENT))
    # The upload of the oldest copy began then. Clients only compare the moment with what we told them before.
    op.execute(
        "UPDATE images SET activated_at = (SELECT min(image_locations.created_at) FROM image_locations "
        "WHERE image_locations.image_id = images.id) "
        "WHERE os_hash_value IS NOT NULL OR status IN ('active', 'deactivated')"
    )


def downgrade() -> None:
    with op.batch_alter_table("images") as images:
        images.drop_column("activated_at")
