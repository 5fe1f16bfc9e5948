"""Import the modules that a server imports, so that processes forked from this one start quickly."""

import importlib

for _name in (
    "psycopg",
    "pymysql",
    "pyramid.scripts.pserve",
    "pyramid.viewderivers",
    "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "stevedore",
    "webob.dec",
    "calotype.api.classic.views",
    "calotype.api.http.health",
    "calotype.api.v1.views",
    "calotype.api.v2.views",
    "calotype.app",
    "calotype.cli",
    "calotype.cli.pserve",
    "calotype.database.migrate",
    "alembic.command",
    "calotype_server.server",
    "calotype_metadefs.views",
    "calotype_store_file",
    "calotype_store_http.store",
):
    importlib.import_module(_name)
