"""Images v1, with metadata in headers, for python-glanceclient and openstacksdk.

`resources` contains the resource tree, and `views` and `members` contain the views. `codec` reads and writes
headers and JSON, and `listing` reads query strings. The rules for images are in `calotype.images`.
"""

from __future__ import annotations

import re

from pyramid.config import Configurator
from pyramid.events import ContextFound, NewRequest
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response

from calotype.api.http import errors, problems
from calotype.api.http.request import Request
from calotype.api.http.resources import Root
from calotype.api.http.versions import VERSIONS, Version
from calotype.api.v1.resources import V1, V1Images
from calotype.api.v1.views import COMPLETION, CREATION

_SEGMENTS = ("v1", "v1.0", "v1.1")
_MEDIA_TYPE = re.compile(r"application/vnd\.openstack\.images-v1(\.[01])?\s*(;|,|$)", re.IGNORECASE)
_UNVERSIONED = re.compile(r"/(images|shared-images)(/|$)")
_IMAGE_PATH = re.compile(r"/v1[.01]*/images/([^/]+)")


def error_form(request: Request, status: int, text: str) -> Response:
    """Return an error as nested JSON; the message names a missing image, because clients print it."""
    match = _IMAGE_PATH.match(request.environ.get("PATH_INFO", ""))
    if match and text in ("Not found", "Image not found"):
        text = f"Image with identifier {match[1][:80]} not found"
    return errors.json_document(request, status, text)


def negotiate(event: NewRequest) -> None:
    """Serve a path without a version as v1 if the first accepted media type is that of v1."""
    request = event.request
    if _MEDIA_TYPE.match(request.headers.get("Accept", "")) and _UNVERSIONED.match(request.path_info):
        request.path_info = f"/v1{request.path_info}"


def refuse_blank_ids(event: ContextFound) -> None:
    """Answer 404 to DELETE /v1/images/, because no image has an empty id.

    Without the slash, the path names the collection, and a DELETE gets 405.
    """
    request = event.request
    asks_for_image = isinstance(request.context, V1Images) and not request.view_name
    if request.method == "DELETE" and asks_for_image and request.path_info.endswith("/"):
        raise HTTPNotFound


def includeme(config: Configurator) -> None:
    """Add /v1 and its aliases to the root, advertise the versions, and register the views."""
    for segment in _SEGMENTS:
        config.add_child(Root, segment, V1)
        config.add_error_form(segment, error_form, media=("application/json", problems.PROBLEM))
    for version in _SEGMENTS[1:]:
        config.registry[VERSIONS].append(Version(version, "v1", "SUPPORTED"))
    config.add_upload_form(CREATION)
    config.add_upload_form(COMPLETION)
    config.add_subscriber(negotiate, NewRequest)
    config.add_subscriber(refuse_blank_ids, ContextFound)
    config.scan("calotype.api.v1")
