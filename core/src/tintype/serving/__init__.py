"""The server that `[server:main] use = egg:tintype-core#server` names: waitress, with a parser of our own.

It serves any WSGI application and knows nothing of this one.
"""

from tintype.serving.server import serve

__all__ = ["serve"]
