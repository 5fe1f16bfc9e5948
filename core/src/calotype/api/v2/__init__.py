"""Images v2, the dialect of today's clients: JSON in, JSON out, and JSON patches in between.

`resources` is its tree, `views` its verbs by noun; `codec`, `patch` and `listing` read what
clients send, `codec` and `schemas` write what they get. Every rule is the lifecycle's.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyramid.config import Configurator
from pyramid.events import ContextFound
from pyramid.httpexceptions import HTTPNotFound

from calotype.api.http import errors
from calotype.api.http.uploads import NotOctets
from calotype.api.http.versions import VERSIONS, Version
from calotype.api.v2.resources import V2
from calotype.model.errors import ImageGone

#: What is implemented: all but the image cache (2.14, 2.16, 2.18) and the locations API (2.17).
IDS = (*(f"v2.{minor}" for minor in range(14)), "v2.15")
#: The statuses of errors that differ from those of the other dialects.
STATUS: Mapping[type[BaseException], int] = {ImageGone: 410, NotOctets: 415}


def refuse_slashes(event: ContextFound) -> None:
    """In this dialect a slash at the end makes another path, where nothing is; but for /v2/ itself."""
    path = event.request.path_info
    if path.endswith("/") and path.count("/") > 2 and path.split("/")[1] in ("v2", *IDS):
        raise HTTPNotFound


def includeme(config: Configurator) -> None:
    """Hang /v2 and its aliases under the root, and advertise it."""
    for segment in ("v2", *IDS):
        config.add_root_child(segment, V2)
        config.add_error_form(segment, errors.json_document, STATUS)
    for version in IDS:
        status = "CURRENT" if version == IDS[-1] else "SUPPORTED"
        config.registry[VERSIONS].append(Version(version, "v2", status))
    config.add_subscriber(refuse_slashes, ContextFound)
    config.include("calotype.api.v2.schemas")
    config.include("calotype.api.v2.views")
    config.include("calotype.api.v2.metadefs")
