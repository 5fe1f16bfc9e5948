"""Images v2, the dialect of current clients, with JSON documents and JSON patches.

`resources` has its tree and `views` its views by noun. `codec`, `patch` and `listing` read requests; `codec`
and `tasks` write responses, and `schemas` describes the documents of both. The rules are those of
`calotype.images`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyramid.config import Configurator
from pyramid.events import ContextFound
from pyramid.httpexceptions import HTTPNotFound

from calotype.api.http import errors
from calotype.api.http.resources import Root
from calotype.api.http.uploads import NotOctets
from calotype.api.http.versions import VERSIONS, Version
from calotype.api.v2.resources import V2
from calotype.model.errors import ImageGone

#: The implemented versions: all except the image cache (2.14, 2.16, 2.18) and the locations API (2.17).
IDS = (*(f"v2.{minor}" for minor in range(14)), "v2.15")
#: The statuses of exceptions that have a different status in the other dialects.
STATUS: Mapping[type[BaseException], int] = {ImageGone: 410, NotOctets: 415}


def refuse_slashes(event: ContextFound) -> None:
    """Answer 404 to a path with a slash at the end, except /v2/ itself."""
    path = event.request.path_info
    if path.endswith("/") and path.count("/") > 2 and path.split("/")[1] in ("v2", *IDS):
        raise HTTPNotFound


def includeme(config: Configurator) -> None:
    """Add /v2 and its aliases to the root, advertise the versions, and register the views."""
    for segment in ("v2", *IDS):
        config.add_child(Root, segment, V2)
        config.add_error_form(segment, errors.json_document, STATUS)
    for version in IDS:
        status = "CURRENT" if version == IDS[-1] else "SUPPORTED"
        config.registry[VERSIONS].append(Version(version, "v2", status))
    config.add_subscriber(refuse_slashes, ContextFound)
    config.include("calotype.api.v2.schemas")
    config.scan("calotype.api.v2.views")
