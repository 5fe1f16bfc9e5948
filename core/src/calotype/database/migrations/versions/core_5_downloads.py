"""Counts of downloads, and indexes for the overviews that operators ask for."""

import sqlalchemy as sa
from alembic import op

from calotype.database.migrate import exact_text

revision = "core_5"
down_revision = "core_4"
branch_labels = None
depends_on = None

STORED, LOCATIONS = "ix_image_locations_stored", "image_locations"
KEYS = ["store", "state", "key"]


def upgrade() -> None:
    # MariaDB commits each step, so an upgrade that was interrupted finds some of them done.
    op.create_table(
        "image_downloads",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("downloads", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "day", name="pk_image_downloads"),
        if_not_exists=True,
        **exact_text(op.get_bind().dialect),
    )
    op.create_index("ix_image_downloads_day", "image_downloads", ["day"], if_not_exists=True)
    op.create_index("ix_audit_outcome", "audit", ["outcome", "created_at", "id"], if_not_exists=True)
    op.create_index("ix_findings_found", "findings", ["state", "found_at", "id"], if_not_exists=True)
    # With this column, the bytes in a store are summed up from the index alone.
    op.drop_index(STORED, LOCATIONS, if_exists=True)
    op.create_index(STORED, LOCATIONS, [*KEYS, "counted"], if_not_exists=True)


def downgrade() -> None:
    op.drop_index(STORED, LOCATIONS)
    op.create_index(STORED, LOCATIONS, KEYS)
    op.drop_index("ix_findings_found", "findings")
    op.drop_index("ix_audit_outcome", "audit")
    op.drop_table("image_downloads")
