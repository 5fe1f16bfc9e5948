"""The view predicate `method`."""

from __future__ import annotations

from pyramid.config import Configurator

from calotype.api.http.request import Request


class Method:
    """Matches one method, or each of a tuple. `"GET"` matches HEAD too, and `("GET",)` does not.

    The answer to a HEAD is that to a GET without its body, which WebOb leaves out (RFC 9110 9.3.2).
    Unlike Pyramid's `request_method`, this lets a context have views of its own for GET and for HEAD.
    """

    def __init__(self, value: str | tuple[str, ...], config: Configurator):
        if value == "GET":
            value = ("GET", "HEAD")
        self._methods = (value,) if isinstance(value, str) else tuple(value)

    def text(self) -> str:
        """What `pviews` shows."""
        return f"method = {', '.join(self._methods)}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        return request.method in self._methods


def includeme(config: Configurator) -> None:
    """Register the predicate."""
    config.add_view_predicate("method", Method)
