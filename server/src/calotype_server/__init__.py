"""The server that `[server:main] use = egg:calotype-server#main` names: waitress, with little of our own.

It serves any WSGI application and knows nothing of this one. What it adds: a strict
parser, bodies that stream, files that go out by sendfile, a deadline for everything a
client may be slow at, and an end that lets running requests finish.
"""

from calotype_server.server import serve

__all__ = ["serve"]
