"""The view predicate `method`."""

from __future__ import annotations

from pyramid.config import Configurator

from calotype.api.http.request import Request


class Method:
    """A predicate that matches one method, or any method of a tuple.

    `"GET"` also matches HEAD, and WebOb then omits the body of the response (RFC 9110 9.3.2). `("GET",)` does
    not match HEAD. Unlike Pyramid's `request_method`, this predicate allows separate views for GET and HEAD.
    """

    def __init__(self, value: str | tuple[str, ...], config: Configurator):
        if value == "GET":
            value = ("GET", "HEAD")
        self._methods = (value,) if isinstance(value, str) else tuple(value)

    def text(self) -> str:
        """Return the predicate as Pyramid's command `pviews` shows it."""
        return f"method = {', '.join(self._methods)}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        return request.method in self._methods


def includeme(config: Configurator) -> None:
    """Register the predicate."""
    config.add_view_predicate("method", Method)
