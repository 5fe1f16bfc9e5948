"""An attempt to upload says where it leaves the image should it fail, and be it that its server dies."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("image_locations") as locations:
        locations.add_column(sa.Column("on_failure", sa.String(16)))
    op.execute(
        "UPDATE image_locations SET on_failure = "
        "CASE (SELECT status FROM images WHERE images.id = image_id) "
        "WHEN 'saving' THEN 'killed' WHEN 'uploading' THEN 'queued' END "
        "WHERE state = 'intended'"
    )


def downgrade() -> None:
    with op.batch_alter_table("image_locations") as locations:
        locations.drop_column("on_failure")
