"""alembic's environment (`env.py`), and the core's branch of migrations (`versions`)."""
