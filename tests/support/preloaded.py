"""What a server's start imports, so that a process forked from one that has imported this starts at once."""

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
    "calotype_server.server",
    "calotype_store_file",
    "calotype_store_http.store",
):
    importlib.import_module(_name)
