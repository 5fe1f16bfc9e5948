"""What a request's target may cost: its path and its query are bounded before anything reads them.

A head may have 256 KiB, which is room for a hundred thousand segments or parameters. Pyramid keeps the
segments of the last thousand paths in memory, and WebOb looks at each parameter whenever one is asked for,
and copies a value once for each of its percent signs.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPRequestURITooLong

#: Bytes of a path without its percent-encoding. Two names of 255 characters, the most there is, fit.
PATH_MAX = 4096
#: Segments of a path. The deepest path that means something has 6.
SEGMENTS_MAX = 16
#: Bytes of a query. A thousand ids in one filter have 37,000, and most proxies end at 8 KiB.
QUERY_MAX = 65536
#: Parameters of a query. Each tag and each property that an image may have can be one.
PARAMETERS_MAX = 256


def refuse_costly_targets(event: NewRequest) -> None:
    """Answer 404 to a path beyond its limits, because nothing is there, and 414 or 400 to such a query."""
    environ = event.request.environ
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    if len(path) > PATH_MAX or path.count("/") > SEGMENTS_MAX:
        raise HTTPNotFound
    if len(query) > QUERY_MAX:
        raise HTTPRequestURITooLong(f"The query is too long: at most {QUERY_MAX} bytes are allowed.")
    if query.count("&") + query.count(";") >= PARAMETERS_MAX:
        raise HTTPBadRequest(f"A query has at most {PARAMETERS_MAX} parameters.")


def includeme(config: Configurator) -> None:
    """Look at each target before traversal."""
    config.add_subscriber(refuse_costly_targets, NewRequest)
