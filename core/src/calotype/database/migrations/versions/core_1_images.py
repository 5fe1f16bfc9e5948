"""All tables of the first version."""

import datetime
import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from calotype.database.migrate import exact_text

revision = "core_1"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    exact = exact_text(op.get_bind().dialect)
    op.create_table(
        "images",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.Text()),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("disk_format", sa.String(20)),
        sa.Column("container_format", sa.String(20)),
        sa.Column("min_disk", sa.Integer(), nullable=False),
        sa.Column("min_ram", sa.Integer(), nullable=False),
        sa.Column("os_hidden", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("virtual_size", sa.BigInteger()),
        sa.Column("detected_format", sa.String(20)),
        sa.Column("checksum", sa.String(32)),
        sa.Column("os_hash_algo", sa.String(64)),
        sa.Column("os_hash_value", sa.String(128)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("activated_at", MOMENT),
        sa.Column("deleted_at", MOMENT),
        sa.Column("deleted_from", sa.String(16)),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        **exact,
    )
    op.create_index("ix_images_listing", "images", ["visibility", "deleted_at", "created_at", "id"])
    op.create_index("ix_images_owner", "images", ["owner", "deleted_at", "created_at", "id"])
    op.create_index("ix_images_all", "images", ["deleted_at", "created_at", "id"])
    op.create_table(
        "image_properties",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("value", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_properties_image_id_images"),
        sa.PrimaryKeyConstraint("image_id", "name", name="pk_image_properties"),
        **exact,
    )
    op.create_index("ix_image_properties_name", "image_properties", ["name"])
    op.create_table(
        "image_tags",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_tags_image_id_images"),
        sa.PrimaryKeyConstraint("image_id", "tag", name="pk_image_tags"),
        **exact,
    )
    op.create_index("ix_image_tags_tag", "image_tags", ["tag"])
    op.create_table(
        "image_members",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("can_share", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_members_image_id_images"),
        sa.PrimaryKeyConstraint("image_id", "project", name="pk_image_members"),
        **exact,
    )
    op.create_index("ix_image_members_project", "image_members", ["project", "status"])
    op.create_table(
        "image_locations",
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("store", sa.String(63), nullable=False),
        sa.Column("location", sa.String(1024)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("lease_owner", sa.String(36)),
        sa.Column("lease_until", MOMENT),
        sa.Column("on_failure", sa.String(16)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("checked_at", MOMENT),
        sa.Column("quarantined_at", MOMENT),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_locations_image_id_images"),
        sa.PrimaryKeyConstraint("key", name="pk_image_locations"),
        **exact,
    )
    op.create_index("ix_image_locations_image_id", "image_locations", ["image_id"])
    op.create_index("ix_image_locations_lease", "image_locations", ["state", "lease_until"])
    op.create_index(
        "ix_image_locations_location",
        "image_locations",
        ["store", "location"],
        mysql_length={"location": 255},
    )
    op.create_index("ix_image_locations_checked", "image_locations", ["store", "state", "checked_at"])
    _create_usage_and_jobs(exact)
    _create_safety(exact)
    _create_identity(exact)


def _create_usage_and_jobs(exact: dict[str, str]) -> None:
    op.create_table(
        "project_usage",
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_project_usage"),
        **exact,
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("job_order", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("job_user", sa.String(255)),
        sa.Column("request_id", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("lease_owner", sa.String(36)),
        sa.Column("lease_until", MOMENT),
        sa.Column("not_before", MOMENT),
        sa.Column("waiting_since", MOMENT),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_jobs_image_id_images"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        **exact,
    )
    op.create_index("ix_jobs_open", "jobs", ["status", "created_at"])
    op.create_index("ix_jobs_image_id", "jobs", ["image_id", "created_at"])
    op.create_table(
        "processes",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
        **exact,
    )


def _create_safety(exact: dict[str, str]) -> None:
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
    op.create_table(
        "audit",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("image_id", sa.String(36)),
        sa.Column("user_id", sa.String(255)),
        sa.Column("project_id", sa.String(255)),
        sa.Column("token_id", sa.String(64)),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(80)),
        sa.Column("agent", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        **exact,
    )
    op.create_index("ix_audit_image_id", "audit", ["image_id"])
    op.create_index("ix_audit_created_at", "audit", ["created_at"])


def _create_identity(exact: dict[str, str]) -> None:
    identity = op.create_table(
        "registry_identity",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_identity"),
        **exact,
    )
    # On MariaDB an upgrade that was interrupted starts over, and the row may be there already.
    if op.get_bind().scalar(sa.select(sa.func.count()).select_from(identity)) == 0:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        op.get_bind().execute(identity.insert(), {"id": str(uuid.uuid4()), "created_at": now})
