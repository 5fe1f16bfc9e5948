"""alembic's environment: it migrates one branch on the connection that `database.migrate` opens."""

from alembic import context

_branch = context.config.attributes["branch"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=_branch.metadata,
    version_table=_branch.version_table,
    compare_type=True,
    render_as_batch=True,  # SQLite's ALTER TABLE cannot do most changes
)
context.run_migrations()
