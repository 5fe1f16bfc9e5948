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
    "tintype.api.classic.views",
    "tintype.api.health",
    "tintype.api.v1.views",
    "tintype.api.v2.views",
    "tintype.app",
    "tintype.registry.migrating",
    "tintype.serving.server",
    "tintype_store_file",
    "tintype_store_http.store",
):
    importlib.import_module(_name)
