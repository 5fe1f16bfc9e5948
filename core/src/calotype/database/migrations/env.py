"""Alembic's entry: runs migrations on the connection that `calotype.database.schema` hands over."""

from alembic import context

from calotype.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
    render_as_batch=True,  # SQLite cannot alter most things of a table
)
context.run_migrations()
