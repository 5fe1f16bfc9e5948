"""The session of a browser: its token in a cookie, and the rule that keeps other sites from using it.

The cookie holds the token itself, so a session works in every process and on every machine, and ends when
the token ends or is revoked. Scripts cannot read the cookie (`HttpOnly`), and other sites cannot make the
browser send it (`SameSite=Strict`). See decision 76.
"""

from __future__ import annotations

import re

from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.response import Response

from calotype.api.http.request import Request

COOKIE = "calotype_console"
#: A session ends after this many seconds at the latest, even if its token is valid for longer.
MAX_AGE = 12 * 3600
#: The requests that a page sends: its own pages, uploads, events, and downloads.
_PATHS = re.compile(r"/(?:console|uploads|events)(?:/.*)?|/v2/images/[^/]+/file")
_READING = ("GET", "HEAD", "OPTIONS")


class ForeignForm(Exception):
    """A form that no page of this service has sent."""

    def __init__(self) -> None:
        super().__init__("The form was not sent by a page of this service: load the page again.")


def adopt_session(event: NewRequest) -> None:
    """Let a request of one of our own pages carry the token of the browser's session.

    Raises:
        ForeignForm: a page of another site has sent a form to the console. This is refused without a
            session, too, because under identity `none` every request has all rights.
    """
    request: Request = event.request
    path = request.environ.get("PATH_INFO", "")
    if not path.startswith(("/console", "/uploads", "/events", "/v2/images/")) or not _PATHS.fullmatch(path):
        return
    ours = comes_from_our_page(request)
    if path.startswith("/console") and request.method not in _READING and not ours:
        raise ForeignForm
    if ours and "HTTP_X_AUTH_TOKEN" not in request.environ and "HTTP_COOKIE" in request.environ:
        token = request.cookies.get(COOKIE)
        if token:
            request.environ["HTTP_X_AUTH_TOKEN"] = token


def comes_from_our_page(request: Request) -> bool:
    """Return whether the browser says that a page of this service sends the request, or a person.

    Browsers say it in `Sec-Fetch-Site` (W3C Fetch Metadata), which scripts cannot set. For a request that
    changes something, an older browser says it in `Origin`. A link that is typed or bookmarked has neither.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    reads = request.method in _READING
    if site is not None:
        return site == "same-origin" or (reads and site == "none")
    if origin is not None:
        return origin.partition("://")[2].lower() == request.environ.get("HTTP_HOST", "").lower()
    return reads


def begin(request: Request, response: Response, token: str) -> None:
    """Add the cookie with the token to the response."""
    response.set_cookie(
        COOKIE, token, max_age=MAX_AGE, httponly=True, samesite="Strict", secure=request.scheme == "https"
    )


def end(response: Response) -> None:
    """Remove the cookie."""
    response.delete_cookie(COOKIE)


def includeme(config: Configurator) -> None:
    """Register the check of each request."""
    config.add_subscriber(adopt_session, NewRequest)
