"""Indexes for lists that filter by name, tag or property, and for the locations of an image or a store."""

import sqlalchemy as sa
from alembic import op

revision = "core_2"
down_revision = "core_1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_images_name", "images", ["name", "deleted_at", "created_at", "id"])
    op.create_index("ix_image_tags_image", "image_tags", ["tag", "image_id"])
    op.drop_index("ix_image_tags_tag", "image_tags")
    # PostgreSQL stores the column, and SQLite cannot store a column that is added.
    stored = True if op.get_bind().dialect.name == "postgresql" else None
    start = sa.Column("value_start", sa.String(64), sa.Computed("substr(value, 1, 64)", persisted=stored))
    op.add_column("image_properties", start)
    op.create_index("ix_image_properties_value", "image_properties", ["name", "value_start", "image_id"])
    op.drop_index("ix_image_properties_name", "image_properties")
    op.create_index("ix_image_locations_image", "image_locations", ["image_id", "state"])
    op.drop_index("ix_image_locations_image_id", "image_locations")
    op.create_index("ix_image_locations_stored", "image_locations", ["store", "state", "key"])


def downgrade() -> None:
    op.create_index("ix_image_tags_tag", "image_tags", ["tag"])
    op.create_index("ix_image_properties_name", "image_properties", ["name"])
    op.create_index("ix_image_locations_image_id", "image_locations", ["image_id"])
    op.drop_index("ix_images_name", "images")
    op.drop_index("ix_image_tags_image", "image_tags")
    op.drop_index("ix_image_properties_value", "image_properties")
    op.drop_column("image_properties", "value_start")
    op.drop_index("ix_image_locations_image", "image_locations")
    op.drop_index("ix_image_locations_stored", "image_locations")
