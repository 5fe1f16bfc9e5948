"""405: the answer for every method that a resource has no view for."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPMethodNotAllowed
from pyramid.request import Request
from pyramid.response import Response


def refuse_other_methods(
    config: Configurator, context: type, name: str, allowed: str, *, permission: str | None = None
) -> None:
    """Answer 405, with `allowed` in the header Allow, where no other view of the context and name matches.

    With `permission`, only to callers who have it: for others the resource is not there.
    """

    def refuse(context: object, request: Request) -> Response:
        raise HTTPMethodNotAllowed(
            f"The method is not allowed here; allowed: {allowed}.", headers={"Allow": allowed}
        )

    config.add_view(refuse, context=context, name=name, permission=permission)
