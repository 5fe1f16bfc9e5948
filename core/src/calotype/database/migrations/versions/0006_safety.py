"""The registry's own id, findings, scrubbing with quarantine, and jobs that wait for a store."""

import datetime
import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    exact = _exact_text()
    identity = op.create_table(
        "registry_identity",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_identity"),
        if_not_exists=True,  # a downgrade leaves it
        **exact,
    )
    op.create_table(
        "findings",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("store", sa.String(63), nullable=False),
        sa.Column("image_id", sa.String(36)),
        sa.Column("subject", sa.String(1024), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
        **exact,
    )
    op.create_index("ix_findings_state", "findings", ["state", "store", "kind"])
    op.create_index("ix_findings_image_id", "findings", ["image_id"])
    op.create_table(
        "scrubs",
        sa.Column("store", sa.String(63), nullable=False),
        sa.Column("lease_owner", sa.String(36)),
        sa.Column("lease_until", MOMENT),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("checked", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("stopped", sa.Text()),
        sa.PrimaryKeyConstraint("store", name="pk_scrubs"),
        **exact,
    )
    with op.batch_alter_table("image_locations") as locations:
        locations.add_column(sa.Column("checked_at", MOMENT))
        locations.add_column(sa.Column("quarantined_at", MOMENT))
        locations.create_index("ix_image_locations_checked", ["store", "state", "checked_at"])
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("not_before", MOMENT))
        jobs.add_column(sa.Column("waiting_since", MOMENT))
    if op.get_bind().scalar(sa.select(sa.func.count()).select_from(identity)) == 0:  # this may be begun again
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        op.get_bind().execute(identity.insert(), {"id": str(uuid.uuid4()), "created_at": now})


def downgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("waiting_since")
        jobs.drop_column("not_before")
    with op.batch_alter_table("image_locations") as locations:
        locations.drop_index("ix_image_locations_checked")
        locations.drop_column("quarantined_at")
        locations.drop_column("checked_at")
    op.drop_table("scrubs")
    op.drop_table("findings")
    # registry_identity stays: the markers in the stores hold its id, and after the next upgrade
    # another id would make every store a foreign one.


def _exact_text() -> dict[str, str]:
    """Return the options that make MariaDB and MySQL compare texts by each character, as in 0003."""
    dialect = op.get_bind().dialect
    if dialect.name not in ("mysql", "mariadb"):
        return {}
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    return {f"{dialect.name}_charset": "utf8mb4", f"{dialect.name}_collate": collation}
