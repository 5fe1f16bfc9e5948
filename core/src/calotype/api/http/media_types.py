"""The media type of a request's body, as its head gives it."""

from __future__ import annotations

from pyramid.request import Request


def media_type(request: Request) -> str:
    """Return the request's Content-Type without its parameters; "" if there is none.

    It is in lower case, because media types are compared without regard to case (RFC 9110 8.3.1).
    """
    return (request.environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
