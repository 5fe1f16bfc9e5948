"""A WSGI server for large bodies: waitress, with little of its own.

It adds a strict parser, bodies that stream, files that are sent by sendfile, a deadline for everything a
client may be slow at, and an end that lets running requests finish. It serves any WSGI application.
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
