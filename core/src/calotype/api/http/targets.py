"""Limit the path and the query of a request: their length, their parts and their spelling.

The head of a request can have 256 KiB, enough for a hundred thousand segments or parameters. Long ones are
costly: Pyramid caches the segments of the last thousand paths. WebOb searches all parameters each time that a
parameter is read, and copies a value once for each of its percent signs.

Pyramid's traversal ignores empty segments, goes up at `..`, finds views after `@@`, and passes the rest of
the path to a view. A proxy that protects a path does not recognize these spellings of it. Therefore paths
with such spellings get 404. Only several slashes at the beginning still count as one, because waitress
merges them before it calls the application.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import ContextFound, NewRequest
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPRequestURITooLong

#: Maximum length of a decoded path, in bytes. The longest valid path has two names of 255 characters.
PATH_MAX = 4096
#: Maximum number of segments of a path. The deepest resource has 6.
SEGMENTS_MAX = 16
#: Maximum length of a query, in bytes. A filter of a thousand ids has 37,000; most proxies allow 8 KiB.
QUERY_MAX = 65536
#: Maximum number of parameters of a query. Each tag and each property of an image can be one.
PARAMETERS_MAX = 256


def refuse_costly_targets(event: NewRequest) -> None:
    """Answer 404 to a path that exceeds its limits, and 414 or 400 to a query that exceeds its limits."""
    environ = event.request.environ
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    if len(path) > PATH_MAX or path.count("/") > SEGMENTS_MAX:
        raise HTTPNotFound
    if len(query) > QUERY_MAX:
        raise HTTPRequestURITooLong(f"The query is too long: at most {QUERY_MAX} bytes are allowed.")
    if query.count("&") + query.count(";") >= PARAMETERS_MAX:
        raise HTTPBadRequest(f"A query can have at most {PARAMETERS_MAX} parameters.")


def refuse_other_spellings(event: ContextFound) -> None:
    """Answer 404 if segments follow the name of a view, or if a segment has a special meaning in traversal.

    A slash at the end is allowed.
    """
    request = event.request
    *inner, last = request.path_info.removeprefix("/").split("/")
    odd = [segment for segment in (*inner, last or "-") if segment in ("", ".", "..") or segment[:2] == "@@"]
    if request.subpath or odd:
        raise HTTPNotFound


def includeme(config: Configurator) -> None:
    """Register the check of limits before traversal, and the check of spelling before a view is chosen."""
    config.add_subscriber(refuse_costly_targets, NewRequest)
    config.add_subscriber(refuse_other_spellings, ContextFound)
