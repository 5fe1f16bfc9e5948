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
import pkgutil

import calotype.api
import calotype_metadefs

_LIBRARIES = (
    "alembic.command",
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
)
_OURS = (
    "calotype.app",
    "calotype.cli",
    "calotype.cli.pserve",
    "calotype.database.migrate",
    "calotype_server.server",
    "calotype_store_file",
    "calotype_store_http.store",
)
#: Packages whose views are found by a scan, which imports all of their modules.
_SCANNED = (calotype.api, calotype_metadefs)

for _name in (*_LIBRARIES, *_OURS):
    importlib.import_module(_name)
for _package in _SCANNED:
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        if ".migrations" not in _module.name:
            importlib.import_module(_module.name)

email.message_from_string = functools.cache(email.message_from_string)
for _distribution in importlib.metadata.distributions():
    _distribution.metadata  # noqa: B018 - parsed by its first use
gc.collect()
gc.freeze()
