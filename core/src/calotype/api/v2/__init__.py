"""Images v2, the dialect of current clients, with JSON documents and JSON patches.

`resources` contains the resource tree, and `views` has a module of views for each kind of resource. `codec`,
`patch`, `listing` and `tasks` read requests. `codec` and `tasks` also write responses. `schemas` describes
the documents of requests and responses. The rules for images are in `calotype.images`.
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
from calotype.api.v2.views.data import UPLOAD
from calotype.model.errors import ImageGone

#: The implemented versions. Those that add the image cache (2.14, 2.16, 2.18) or the locations API (2.17) are
#: not implemented.
IDS = (*(f"v2.{minor}" for minor in range(14)), "v2.15")
#: The statuses that v2 gives to exceptions for which the other dialects have a different status.
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
    config.add_upload_form(UPLOAD)
    config.add_subscriber(refuse_slashes, ContextFound)
    config.include("calotype.api.v2.schemas")
    config.include("calotype.api.v2.description")
    config.scan("calotype.api.v2.views")
