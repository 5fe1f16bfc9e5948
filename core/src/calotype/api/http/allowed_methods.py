"""405 responses and their header Allow, derived from the registered views."""

from __future__ import annotations

from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPMethodNotAllowed
from pyramid.response import Response

from calotype.api.http.request import Request
from calotype.api.http.resources import Resource

#: The methods of the service, in the order in which Allow names them.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def refuse_other_methods(config: Configurator) -> None:
    """Add views that answer 405 where a resource has views, but none for the method of the request.

    Call this after all views are registered. A caller who lacks the resource's permission
    `methods_shown_with` gets the same 401, 403 or 404 as for an allowed method.
    """
    config.commit()
    for (context, name), methods in _find_methods(config).items():
        allowed = ", ".join(method for method in _METHODS if method in methods)
        config.add_view(_refusal(allowed), context=context, name=name, permission=context.methods_shown_with)


def _find_methods(config: Configurator) -> dict[tuple[type[Resource], str], set[str]]:
    """Return the allowed methods by resource class and view name.

    A view that accepts every method is left out, because no method is refused there.
    """
    found: dict[tuple[type[Resource], str], set[str]] = {}
    takes_all = set()
    for entry in config.introspector.get_category("views"):
        view = entry["introspectable"]
        context, given = view["context"], view.get("method") or view["request_methods"]
        if isinstance(context, type) and issubclass(context, Resource):
            key = (context, view["name"])
            if given is None:
                takes_all.add(key)
                continue
            methods = found.setdefault(key, set())
            methods.update((given,) if isinstance(given, str) else given)
            if given == "GET" or "GET" in (view["request_methods"] or ()):
                methods.add("HEAD")
    return {key: methods for key, methods in found.items() if key not in takes_all}


def _refusal(allowed: str) -> Callable[[Resource, Request], Response]:
    def refuse(context: Resource, request: Request) -> Response:
        raise HTTPMethodNotAllowed(
            f"The method is not allowed here; allowed: {allowed}.", headers={"Allow": allowed}
        )

    return refuse
