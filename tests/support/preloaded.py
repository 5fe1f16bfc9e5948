"""Import the modules that a server imports, so that processes forked from this one start quickly.

Two more steps take long in each process that starts: a loader of PasteDeploy parses the metadata of all
installed distributions, and the garbage collector visits all objects of the modules. So this process parses
the metadata once, and excludes its objects from collections.
"""

import email
import functools
import gc
import importlib
import importlib.metadata

for _name in (
    "encodings.idna",
    "logging.config",
    "plaster_pastedeploy",
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
    "calotype.cli.manage",
    "calotype.cli.pserve",
    "calotype.database.migrate",
    "alembic.command",
    "calotype_server.server",
    "calotype_metadefs.views",
    "calotype_console.views.operations",
    "calotype_store_file",
    "calotype_store_http.store",
):
    importlib.import_module(_name)

email.message_from_string = functools.cache(email.message_from_string)
for _distribution in importlib.metadata.distributions():
    _distribution.metadata  # noqa: B018 - parsed by its first use
gc.collect()
gc.freeze()
