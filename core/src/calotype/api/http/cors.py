"""Requests of web pages from other origins (CORS, as in the Fetch standard), if the settings name them.

A page sets the token itself as a header, so no credentials of the browser are needed or allowed. A preflight
is answered before the caller is identified, because browsers send no token with it. Every other response,
including errors, lets the page read all headers.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.tweens import EXCVIEW

from calotype.api.http.request import Parts, Request
from calotype.config.settings import Settings

#: Seconds for which a browser may cache the response to a preflight.
_REMEMBERED = 3600
#: Maximum characters of an origin that a message shows.
_SHOWN_MAX = 300
#: The access log adds this header later.
_REQUEST_ID = "x-openstack-request-id"


def allows(settings: Settings, origin: str) -> bool:
    """Return whether pages of this origin may use the service."""
    return "*" in settings.cors_origins or origin.lower() in settings.cors_origins


def cors_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Answer preflights, and add the headers to other responses without which a page cannot read them."""
    settings: Settings = Parts.of(registry).settings
    configured = bool(settings.cors_origins)

    def cors_tween(request: Request) -> Response:
        origin = request.headers.get("Origin")
        allowed = origin is not None and allows(settings, origin)
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if origin is None or not preflight:
            response = handler(request)
        else:
            response = _preflight(request, settings) if allowed else _refused(origin)
        if configured:  # or a cache would serve the response for one origin to another
            response.vary = (*(response.vary or ()), "Origin")
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            if not preflight:
                response.headers["Access-Control-Expose-Headers"] = _names(response)
        return response

    return cors_tween


def _preflight(request: Request, settings: Settings) -> Response:
    response = Response(status=204)
    asked = request.headers.get("Access-Control-Request-Headers", "").split(",")
    wanted = [name.strip().lower() for name in asked]
    patterns = [allowed.lower() for allowed in settings.cors_headers]  # such as `NAME*`
    response.headers["Access-Control-Allow-Methods"] = ", ".join(settings.cors_methods)
    response.headers["Access-Control-Allow-Headers"] = ", ".join(
        name for name in wanted if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )
    response.headers["Access-Control-Max-Age"] = str(_REMEMBERED)
    return response


def _refused(origin: str) -> Response:
    """Return a response for a person who looks at the request in a browser; no page can read it."""
    text = (
        f"The origin {origin[:_SHOWN_MAX]} is not among those of calotype.cors_origins, "
        "where the operator can add it.\n"
    )
    return Response(text, status=403, content_type="text/plain", charset="utf-8")


def _names(response: Response) -> str:
    names = {name.lower() for name in response.headers} | {_REQUEST_ID}
    return ", ".join(sorted(name for name in names if not name.startswith("access-control-")))


def includeme(config: Configurator) -> None:
    """Install the tween between the access log and the exception views.

    It is needed without origins, too, because a preflight would get a misleading 401.
    """
    config.add_tween(
        "calotype.api.http.cors.cors_tween_factory",
        under="calotype.api.http.access_log.access_tween_factory",
        over=EXCVIEW,
    )
