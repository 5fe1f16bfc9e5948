"""Indexes for lists that filter by name, tag or property, and for the locations of an image or a store."""

import sqlalchemy as sa
from alembic import op

revision = "core_2"
down_revision = "core_1"
branch_labels = None
depends_on = None

PROPERTIES = "image_properties"


def upgrade() -> None:
    # MariaDB commits each step, so an upgrade that was interrupted finds some of them done.
    op.create_index("ix_images_name", "images", ["name", "deleted_at", "created_at", "id"], if_not_exists=True)
    op.create_index("ix_image_tags_image", "image_tags", ["tag", "image_id"], if_not_exists=True)
    op.drop_index("ix_image_tags_tag", "image_tags", if_exists=True)
    # PostgreSQL stores the column, and SQLite cannot store a column that is added.
    stored = True if op.get_bind().dialect.name == "postgresql" else None
    start = sa.Column("value_start", sa.String(64), sa.Computed("substr(value, 1, 64)", persisted=stored))
    if "value_start" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns(PROPERTIES)}:
        op.add_column(PROPERTIES, start)
    columns = ["name", "value_start", "image_id"]
    op.create_index("ix_image_properties_value", PROPERTIES, columns, if_not_exists=True)
    op.drop_index("ix_image_properties_name", PROPERTIES, if_exists=True)
    op.create_index("ix_image_locations_image", "image_locations", ["image_id", "state"], if_not_exists=True)
    op.drop_index("ix_image_locations_image_id", "image_locations", if_exists=True)
    columns = ["store", "state", "key"]
    op.create_index("ix_image_locations_stored", "image_locations", columns, if_not_exists=True)


def downgrade() -> None:
    op.create_index("ix_image_tags_tag", "image_tags", ["tag"])
    op.create_index("ix_image_properties_name", PROPERTIES, ["name"])
    op.create_index("ix_image_locations_image_id", "image_locations", ["image_id"])
    op.drop_index("ix_images_name", "images")
    op.drop_index("ix_image_tags_image", "image_tags")
    op.drop_index("ix_image_properties_value", PROPERTIES)
    op.drop_column(PROPERTIES, "value_start")
    op.drop_index("ix_image_locations_image", "image_locations")
    op.drop_index("ix_image_locations_stored", "image_locations")
