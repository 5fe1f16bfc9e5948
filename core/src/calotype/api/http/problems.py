"""Problem documents (RFC 9457), the form of errors of the IETF's resumable uploads."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from typing import Any

from pyramid.response import Response

from calotype.api.http.request import Request

#: The media type of problem documents.
PROBLEM = "application/problem+json"


class Problem(Exception):
    """An error that is a problem document in every dialect. The message explains it to the client.

    `kind` is the URI of the problem type, and `title` its title. `members` are further members.
    """

    def __init__(
        self, status: int, kind: str, title: str, message: str, members: Mapping[str, Any] | None = None
    ):
        super().__init__(message)
        self.status = status
        self._kind = {"type": kind, "title": title}
        self._members = members or {}

    def respond(self, request: Request, status: int, text: str) -> Response:
        """Return the document as a response."""
        return _document(status, {**self._kind, "status": status, "detail": text, **self._members})


def problem_document(request: Request, status: int, text: str) -> Response:
    """Return any other error as a problem document, whose title is that of the status."""
    title = http.HTTPStatus(status).phrase
    return _document(status, {"title": title, "status": status, "detail": text})


def _document(status: int, members: Mapping[str, Any]) -> Response:
    body = json.dumps(members, ensure_ascii=False).encode()
    return Response(body, status=status, content_type=PROBLEM)
