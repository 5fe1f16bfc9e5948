"""Requests of web pages from other origins (CORS, as in the Fetch standard), if the settings allow them.

A web page sets the token itself, in a header. The browser's own credentials, such as cookies, are neither
needed nor allowed. A preflight is answered before the caller is identified, because browsers send no token
with it. Every other response, including an error, lets the page read all headers.
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
#: Maximum length of an origin in a message, in characters.
_SHOWN_MAX = 300
#: A header that pages may read. It is named here, because the access log adds it after this tween has run.
_REQUEST_ID = "x-openstack-request-id"


def allows(settings: Settings, origin: str) -> bool:
    """Return whether pages of this origin may use the service."""
    return "*" in settings.cors_origins or origin.lower() in settings.cors_origins


def cors_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Return the tween, which answers preflights, and adds headers that let pages read other responses."""
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
        if configured:  # otherwise, a cache would serve the response for one origin to another
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
    """Return the response to a refused preflight. The browser's developer tools show it; no page reads it."""
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

    The tween is installed even if no origin is allowed. Without it, a preflight would get a misleading 401.
    """
    config.add_tween(
        "calotype.api.http.cors.cors_tween_factory",
        under="calotype.api.http.access_log.access_tween_factory",
        over=EXCVIEW,
    )
