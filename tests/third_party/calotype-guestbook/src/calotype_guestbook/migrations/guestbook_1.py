"""Create the table of entries."""

import sqlalchemy as sa
from alembic import op

from calotype.database.columns import UTCDateTime
from calotype.database.migrate import exact_text

revision = "guestbook_1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "guestbook_entries",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("text", sa.String(255), nullable=False),
        sa.Column("written_at", UTCDateTime(), nullable=False),
        **exact_text(op.get_bind().dialect),
    )
