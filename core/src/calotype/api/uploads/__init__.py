"""Upload sessions over HTTP: tus 1.0, and the sessions of the IETF's resumable uploads, at /uploads.

`tus` contains the views of tus, whose headers `tus_headers` and `metadata` read. `draft` contains those of
the IETF's draft, whose uploads begin in the other dialects: see `calotype.api.http.resumption`. `chunks`
reads the bytes of both. The rules for sessions are in `calotype.images.sessions`.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.response import Response

from calotype.api.http import errors, problems
from calotype.api.http.request import Request
from calotype.api.http.resources import Root
from calotype.api.uploads.resources import TUS, Uploads, speaks_tus
from calotype.api.uploads.tus_headers import VERSION

_SEGMENT = "uploads"
#: The methods that a client of tus may name in X-HTTP-Method-Override.
_OVERRIDES = ("PATCH", "DELETE")


def error_form(request: Request, status: int, text: str) -> Response:
    """Return an error as plain text to a client of tus, and otherwise as a problem document."""
    if not speaks_tus(request):
        return problems.problem_document(request, status, text)
    response = errors.plain_text(request, status, text)
    response.headers[TUS] = VERSION
    return response


def override_method(event: NewRequest) -> None:
    """Give a POST of tus the method that it names, because some clients can send only GET and POST."""
    request = event.request
    if request.method == "POST" and TUS in request.headers and request.path_info.startswith(f"/{_SEGMENT}/"):
        named = request.headers.get("X-HTTP-Method-Override")
        if named in _OVERRIDES:
            request.method = named


def includeme(config: Configurator) -> None:
    """Add /uploads to the root, and register the views."""
    config.add_child(Root, _SEGMENT, Uploads)
    config.add_error_form(_SEGMENT, error_form, media=("text/plain", problems.PROBLEM))
    config.add_subscriber(override_method, NewRequest)
    config.scan("calotype.api.uploads")
