"""Tags, members, hidden images, what an inspection found, what projects use, leases and jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    with op.batch_alter_table("images") as images:
        images.add_column(sa.Column("os_hidden", sa.Boolean(), nullable=False, server_default=sa.false()))
        images.add_column(sa.Column("virtual_size", sa.BigInteger()))
        images.add_column(sa.Column("detected_format", sa.String(20)))
        images.add_column(sa.Column("deleted_from", sa.String(16)))
        images.create_index("ix_images_owner", ["owner", "deleted_at", "created_at", "id"])
        images.create_index("ix_images_all", ["deleted_at", "created_at", "id"])
    with op.batch_alter_table("image_locations") as locations:
        locations.add_column(sa.Column("counted", sa.BigInteger(), nullable=False, server_default="0"))
        locations.add_column(sa.Column("lease_owner", sa.String(36)))
        locations.add_column(sa.Column("lease_until", MOMENT))
        locations.create_index("ix_image_locations_lease", ["state", "lease_until"])
    op.create_index(
        "ix_image_locations_location",
        "image_locations",
        ["store", "location"],
        mysql_length={"location": 255},
    )
    op.create_index("ix_image_properties_name", "image_properties", ["name"])
    op.create_table(
        "image_tags",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_tags_image_id_images"),
        sa.PrimaryKeyConstraint("image_id", "tag", name="pk_image_tags"),
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
    )
    op.create_index("ix_image_members_project", "image_members", ["project", "status"])
    op.create_table(
        "project_usage",
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_project_usage"),
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
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_jobs_image_id_images"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_open", "jobs", ["status", "created_at"])
    op.create_index("ix_jobs_image_id", "jobs", ["image_id", "created_at"])
    _count_what_is_there()


def _count_what_is_there() -> None:
    op.execute(
        "UPDATE image_locations SET counted = COALESCE((SELECT size FROM images WHERE images.id = image_id), 0) "
        "WHERE state = 'stored' AND NOT external"
    )
    op.execute(
        "INSERT INTO project_usage (project, bytes, images) "
        "SELECT owner, COALESCE(SUM(counted), 0), COUNT(DISTINCT id) FROM images "
        "LEFT JOIN image_locations ON image_id = images.id "
        "WHERE owner IS NOT NULL AND deleted_at IS NULL GROUP BY owner"
    )


def downgrade() -> None:
    op.drop_table("jobs")
    op.drop_table("project_usage")
    op.drop_table("image_members")
    op.drop_table("image_tags")
    op.drop_index("ix_image_properties_name", "image_properties")
    op.drop_index("ix_image_locations_location", "image_locations")
    with op.batch_alter_table("image_locations") as locations:
        locations.drop_index("ix_image_locations_lease")
        locations.drop_column("lease_until")
        locations.drop_column("lease_owner")
        locations.drop_column("counted")
    with op.batch_alter_table("images") as images:
        images.drop_index("ix_images_all")
        images.drop_index("ix_images_owner")
        images.drop_column("deleted_from")
        images.drop_column("detected_format")
        images.drop_column("virtual_size")
        images.drop_column("os_hidden")
