"""Requests of web pages from other origins (CORS, as the Fetch standard says), where the settings name them.

A token is a header that a page must set itself. So no browser sends credentials of its own, and none are
allowed.
A preflight is answered before anything is known of the caller, because browsers send no token with it. Every
other answer, an error too, lets the page read all of its headers.
"""

from __future__ import annotations

from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.tweens import EXCVIEW

from calotype.api.http.request import Parts, Request
from calotype.config.settings import Settings

#: Seconds for which a browser may remember the answer to a preflight.
_REMEMBERED = 3600
#: Characters of an origin that are told again.
_SHOWN_MAX = 300
#: Added to the answer after this.
_REQUEST_ID = "x-openstack-request-id"


def allows(settings: Settings, origin: str) -> bool:
    """Return whether pages of this origin may use the service."""
    return "*" in settings.cors_origins or origin.lower() in settings.cors_origins


def cors_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Answer preflights, and give every other answer the headers by which a browser shows it to a page."""
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
        if configured:  # otherwise the answer is the same for all origins
            _vary(response)
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            if not preflight:
                response.headers["Access-Control-Expose-Headers"] = _names(response)
        return response

    return cors_tween


def _preflight(request: Request, settings: Settings) -> Response:
    response = Response(status=204)
    del response.content_type
    asked = request.headers.get("Access-Control-Request-Headers", "").split(",")
    wanted = [name.strip().lower() for name in asked]
    response.headers["Access-Control-Allow-Methods"] = ", ".join(settings.cors_methods)
    response.headers["Access-Control-Allow-Headers"] = ", ".join(
        name for name in wanted if _may_be_sent(name, settings)
    )
    response.headers["Access-Control-Max-Age"] = str(_REMEMBERED)
    return response


def _refused(origin: str) -> Response:
    """Say why, to whoever looks at the request in a browser. No page may read it."""
    told = (
        f"The origin {origin[:_SHOWN_MAX]} is not among those of calotype.cors_origins, "
        "where the operator can add it.\n"
    )
    return Response(told, status=403, content_type="text/plain", charset="utf-8")


def _may_be_sent(name: str, settings: Settings) -> bool:
    """Whether a page may send the header; `NAME*` in the settings stands for all that begin with NAME."""
    return any(
        name.startswith(one[:-1]) if one.endswith("*") else name == one
        for one in (allowed.lower() for allowed in settings.cors_headers)
    )


def _names(response: Response) -> str:
    names = {name.lower() for name in response.headers} | {_REQUEST_ID}
    return ", ".join(sorted(name for name in names if not name.startswith("access-control-")))


def _vary(response: Response) -> None:
    """Keep a cache from giving the answer for one origin to another."""
    before = response.headers.get("Vary")
    response.headers["Vary"] = f"{before}, Origin" if before else "Origin"


def includeme(config: Configurator) -> None:
    """Install the tween outside of the exception views, inside of the access log.

    It is there where no origins are named too, because a preflight would get 401 otherwise, which misleads.
    """
    config.add_tween(
        "calotype.api.http.cors.cors_tween_factory",
        under="calotype.api.http.access_log.access_tween_factory",
        over=EXCVIEW,
    )
