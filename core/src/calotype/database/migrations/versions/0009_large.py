"""MariaDB and MySQL: a property's value may be longer than 65,535 bytes, as in the other databases."""

from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _alter(mysql.MEDIUMTEXT())


def downgrade() -> None:
    _alter(mysql.TEXT())


def _alter(kind: mysql.MEDIUMTEXT | mysql.TEXT) -> None:
    """Give the column this type; its character set and collation stay the table's."""
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        op.alter_column("image_properties", "value", type_=kind, existing_nullable=False)
