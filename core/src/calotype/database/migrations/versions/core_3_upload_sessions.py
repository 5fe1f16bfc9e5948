"""Upload sessions and their parts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from calotype.database.migrate import exact_text

revision = "core_3"
down_revision = "core_2"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
SESSIONS, PARTS = "upload_sessions", "upload_parts"


def upgrade() -> None:
    exact = exact_text(op.get_bind().dialect)
    # MariaDB commits each step, so an upgrade that was interrupted finds some of them done.
    op.create_table(
        SESSIONS,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("image_id", sa.String(36)),
        sa.Column("blob_key", sa.String(80)),
        sa.Column("store", sa.String(63), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("project", sa.String(255)),
        sa.Column("created_by", sa.String(255)),
        sa.Column("total", sa.BigInteger()),
        sa.Column("contiguous", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.String(1024)),
        sa.Column("cell_size", sa.BigInteger()),
        sa.Column("cell_step", sa.Integer()),
        sa.Column("cell_max", sa.BigInteger()),
        sa.Column("on_failure", sa.String(16)),
        sa.Column("demands", sa.JSON(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("writer", sa.String(32)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("lease_owner", sa.String(36)),
        sa.Column("lease_until", MOMENT),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_upload_sessions_image_id_images"),
        sa.PrimaryKeyConstraint("id", name="pk_upload_sessions"),
        if_not_exists=True,
        **exact,
    )
    op.create_index("ix_upload_sessions_image", SESSIONS, ["image_id", "status"], if_not_exists=True)
    op.create_index("ix_upload_sessions_project", SESSIONS, ["project", "status"], if_not_exists=True)
    op.create_index("ix_upload_sessions_expiry", SESSIONS, ["status", "expires_at"], if_not_exists=True)
    op.create_table(
        PARTS,
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("number", sa.BigInteger()),
        sa.Column("receipt", sa.String(1024)),
        sa.Column("store", sa.String(63)),
        sa.Column("blob_key", sa.String(80)),
        sa.Column("location", sa.String(1024)),
        sa.ForeignKeyConstraint(
            ["session_id"], ["upload_sessions.id"], name="fk_upload_parts_session_id_upload_sessions"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_upload_parts"),
        if_not_exists=True,
        **exact,
    )
    op.create_index("ix_upload_parts_session", PARTS, ["session_id", "state", "start"], if_not_exists=True)
    op.create_index("ix_upload_parts_blob", PARTS, ["store", "blob_key"], if_not_exists=True)
    op.create_index("ix_upload_parts_key", PARTS, ["blob_key"], if_not_exists=True)
    op.create_index("ix_upload_parts_state", PARTS, ["state"], if_not_exists=True)


def downgrade() -> None:
    op.drop_table(PARTS)
    op.drop_table(SESSIONS)
