"""405: the answer for every method that a resource has no view for."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPMethodNotAllowed
from pyramid.response import Response

from calotype.api.http.request import Request


def refuse_other_methods(
    config: Configurator, context: type, name: str, allowed: str, *, permission: str | None = None
) -> None:
    """Answer 405, with `allowed` in the header Allow, where no other view of the context and name matches.

    `allowed` names GET, which stands for HEAD too. With `permission`, only callers who have it get the 405:
    for others the resource is not there.
    """

    def refuse(context: object, request: Request) -> Response:
        raise not_allowed(allowed)

    config.add_view(refuse, context=context, name=name, permission=permission)


def not_allowed(allowed: str) -> HTTPMethodNotAllowed:
    """Return the 405 of a resource with these methods, as "GET, POST"; HEAD is added where GET is."""
    allowed = allowed.replace("GET", "GET, HEAD")
    return HTTPMethodNotAllowed(
        f"The method is not allowed here; allowed: {allowed}.", headers={"Allow": allowed}
    )
