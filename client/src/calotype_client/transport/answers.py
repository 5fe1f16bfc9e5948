"""Answers of a server, and their translation into the errors of the client."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calotype_client import errors

_REQUEST_ID = ("x-openstack-request-id", "x-request-id")
_TAG = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]*>", re.S | re.I)
#: Longest sentence of a server that is repeated in an error.
_MOST = 500
_LOGIN = "Log in with a token: calotype login URL, or set CALOTYPE_TOKEN."
_KINDS: dict[int, tuple[type[errors.CalotypeError], str | None]] = {
    401: (errors.NotAuthenticated, _LOGIN),
    403: (errors.NotAllowed, "Your role does not permit this: ask an administrator."),
    404: (errors.NotFound, None),
    409: (errors.Conflict, None),
    410: (errors.Conflict, None),
    412: (errors.Conflict, None),
    413: (errors.OutOfSpace, "Free some space, or ask the operator for a larger quota."),
    429: (errors.Unavailable, "Try again later."),
    460: (errors.ChecksumMismatch, None),
    502: (errors.Unavailable, "Try again later."),
    503: (errors.Unavailable, "Try again later."),
    504: (errors.Unavailable, "Try again later."),
    507: (errors.OutOfSpace, "The server's disk is full: tell its operator."),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response. The names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the JSON document of the body; raises ProtocolError."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise errors.ProtocolError(
                "The server answered with something that is not JSON.",
                advice="Is the URL that of an image service?",
                status=self.status,
                request_id=self.request_id,
            ) from None

    @property
    def request_id(self) -> str | None:
        """Return the id by which the server's operator finds the request, if the server gave one."""
        return next((self.headers[name] for name in _REQUEST_ID if name in self.headers), None)


def error_of(answer: Answer) -> errors.CalotypeError:
    """Return the error that an answer with a status of 400 or more means."""
    kind, advice = _KINDS.get(answer.status, (errors.Refused, None))
    said = sentence_of(answer)
    if answer.status >= 500 and kind is errors.Refused:
        advice = "Tell the operator of the server, with the id of the request."
    if kind is errors.NotAuthenticated and not said:
        said = "The server does not accept the token."
    message = said or f"The server answered {answer.status}."
    return kind(message, advice=advice, status=answer.status, request_id=answer.request_id)


def sentence_of(answer: Answer) -> str:
    """Return the sentence of an error, in the forms of Calotype, of Glance, and of proxies."""
    text = answer.body.decode("utf-8", "replace").strip()
    try:
        document = json.loads(text)
    except ValueError:
        return _of_text(text)
    return _of_document(document)[:_MOST] or _of_text(text)


def _of_document(document: object) -> str:
    if not isinstance(document, dict):
        return ""
    inner = document.get("error", document)
    if isinstance(inner, str):
        return inner
    if not isinstance(inner, dict):
        return ""
    found = next((inner[key] for key in ("message", "detail", "title") if inner.get(key)), "")
    return _of_text(str(found))


def _of_text(text: str) -> str:
    """Return the text without markup, and with every run of blanks as one blank."""
    plain = " ".join(_TAG.sub(" ", text).split())
    return plain if len(plain) <= _MOST else f"{plain[:_MOST]}..."
