"""View predicates: `method` and `has_body`."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.request import Request

from calotype.api.body import has_body


class Method:
    """Matches exactly these methods. Pyramid's own `request_method` gives HEAD to every GET view,

    and a HEAD must never open an image's bytes.
    """

    def __init__(self, value: str | tuple[str, ...], config: Configurator):
        self._methods = (value,) if isinstance(value, str) else tuple(value)

    def text(self) -> str:
        """What `pviews` shows."""
        return f"method = {', '.join(self._methods)}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        return request.method in self._methods


class HasBody:
    """Whether the request carries bytes."""

    def __init__(self, value: bool, config: Configurator):
        self._wanted = value

    def text(self) -> str:
        """What `pviews` shows."""
        return f"has_body = {self._wanted}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        return has_body(request) == self._wanted


def includeme(config: Configurator) -> None:
    """Register the predicates."""
    config.add_view_predicate("method", Method)
    config.add_view_predicate("has_body", HasBody)
