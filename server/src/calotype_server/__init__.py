"""A WSGI server for large bodies: a thin layer over waitress that serves any WSGI application.

It adds a strict parser, bodies that stream, files that are sent by sendfile, deadlines for slow clients, and
a shutdown that lets running requests finish.
"""

from calotype_server.errors import CannotListen, ServerError, ServerSettingsError
from calotype_server.process import serve, serve_paste
from calotype_server.server import Server, create_server
from calotype_server.settings import ServerSettings

__all__ = [
    "CannotListen",
    "Server",
    "ServerError",
    "ServerSettings",
    "ServerSettingsError",
    "create_server",
    "serve",
    "serve_paste",
]
