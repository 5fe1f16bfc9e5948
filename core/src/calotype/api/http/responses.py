"""Responses that have the same form in several dialects."""

from __future__ import annotations

from collections.abc import Mapping

from pyramid.response import Response


def nothing(status: int = 204, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response without a body."""
    response = Response(status=status)
    response.headers.pop("Content-Type", None)
    response.headers.update(headers or {})
    return response
