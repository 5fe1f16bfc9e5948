"""Limit the target of a request: its length, its parts and its spelling.

The head of a request may have 256 KiB, which is room for a hundred thousand segments or parameters. Pyramid
keeps the segments of the last thousand paths in memory. WebOb looks at each parameter whenever one is read,
and copies a value once for each of its percent signs.

Pyramid's traversal ignores empty segments, climbs up at `..`, finds views behind `@@`, and gives a view the
rest of the path. A front proxy that guards a path does not know these spellings, so they are 404.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import ContextFound, NewRequest
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


def refuse_other_spellings(event: ContextFound) -> None:
    """Answer 404 to a path with a rest, or with a segment that traversal treats in a way of its own.

    A slash at the end is allowed.
    """
    request = event.request
    *inner, last = request.path_info.removeprefix("/").split("/")
    odd = [segment for segment in (*inner, last or "-") if segment in ("", ".", "..") or segment[:2] == "@@"]
    if request.subpath or odd:
        raise HTTPNotFound


def includeme(config: Configurator) -> None:
    """Check the costs of a target before traversal, and its spelling before a view is chosen."""
    config.add_subscriber(refuse_costly_targets, NewRequest)
    config.add_subscriber(refuse_other_spellings, ContextFound)
