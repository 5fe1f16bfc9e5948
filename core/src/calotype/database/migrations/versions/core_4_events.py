"""Events of images, webhooks, and the progress of transfers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from calotype.database.migrate import exact_text

revision = "core_4"
down_revision = "core_3"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LOCATIONS = "image_locations"


def upgrade() -> None:
    exact = exact_text(op.get_bind().dialect)
    # MariaDB commits each step, so an upgrade that was interrupted finds some of them done.
    op.create_table(
        "events",
        sa.Column("number", NUMBER, nullable=False),
        *_event(),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sqlite_autoincrement=True,
        if_not_exists=True,
        **exact,
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("webhook", sa.String(63), nullable=False),
        *_event(),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", MOMENT),
        sa.PrimaryKeyConstraint("number", name="pk_webhook_deliveries"),
        sqlite_autoincrement=True,
        if_not_exists=True,
        **exact,
    )
    order = ["webhook", "image_id", "number"]
    op.create_index("ix_webhook_deliveries_order", "webhook_deliveries", order, if_not_exists=True)
    op.create_table(
        "webhooks",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("lease_owner", sa.String(36)),
        sa.Column("lease_until", MOMENT),
        sa.Column("delivered_at", MOMENT),
        sa.Column("failed_at", MOMENT),
        sa.Column("last_error", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_webhooks"),
        if_not_exists=True,
        **exact,
    )
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(LOCATIONS)}
    kinds = {"announced": sa.BigInteger(), "moved": sa.BigInteger(), "moved_at": MOMENT}
    for column in (sa.Column(name, kind) for name, kind in kinds.items()):
        if column.name not in there:
            op.add_column(LOCATIONS, column)


def _event() -> list[sa.Column]:
    """Return the columns that describe an event."""
    return [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("created_at", MOMENT, nullable=False),
    ]


def downgrade() -> None:
    for name in ("moved_at", "moved", "announced"):
        op.drop_column(LOCATIONS, name)
    op.drop_table("webhooks")
    op.drop_table("webhook_deliveries")
    op.drop_table("events")
