"""Turn every exception into a response: the statuses of exceptions, and the error forms of the dialects.

A dialect registers the form of its errors, and the statuses that differ from the default
(`config.add_error_form`). Views and event subscribers also raise Pyramid's own exceptions, such as 404 for an
unknown path. Any other exception is a bug: the client gets 500 without details, and the log gets the
traceback with the request id.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyramid.config import Configurator
from pyramid.exceptions import URLDecodeError
from pyramid.httpexceptions import HTTPException, HTTPForbidden, HTTPNotFound
from pyramid.registry import Registry
from pyramid.response import Response

from calotype.api.http.access_log import shown
from calotype.api.http.conditions import PreconditionFailed
from calotype.api.http.downloads import RangeNotSatisfiable
from calotype.api.http.local import NotLocal
from calotype.api.http.problems import Problem
from calotype.api.http.request import Request
from calotype.api.http.resources import ImageResource, Resource
from calotype.database import errors as database
from calotype.database.audit import log_record, new_record
from calotype.events import feed
from calotype.identity import security, token_file
from calotype.model import errors as model
from calotype.model import fields
from calotype.model.audit import Actor, Origin, Outcome
from calotype.stores import errors as stores
from calotype.transfers import inspection

log = logging.getLogger(__name__)

FORMS = "calotype.error_forms"

#: Exception -> status. An exception without a row gets the status of its nearest base class with a row.
STATUS: dict[type[BaseException], int] = {
    URLDecodeError: 400,
    NotLocal: 403,
    security.Unauthenticated: 401,
    security.IdentityUnavailable: 503,
    token_file.TokensUnreadable: 503,
    UnicodeDecodeError: 400,
    fields.InvalidRequest: 400,
    fields.RequestTooLarge: 413,
    fields.ReservedName: 403,
    model.UnknownTarget: 409,
    model.Conflict: 409,
    model.NotAllowed: 403,
    model.CallerExpired: 401,
    model.NotQueued: 409,
    model.NotFound: 404,
    model.Protected: 403,
    model.ImageGone: 412,
    model.TakenOver: 503,
    model.SessionBusy: 503,
    model.SessionEnded: 410,
    model.WrongDigest: 400,
    model.NoData: 404,
    model.NoGoodCopy: 502,
    database.DuplicateImage: 409,
    database.ImageNotFound: 404,
    database.StatusConflict: 409,
    database.LimitReached: 413,
    database.DatabaseFull: 507,
    database.DatabaseUnavailable: 503,
    inspection.InspectorsUnavailable: 503,
    feed.TooManyOfCaller: 429,
    feed.TooManyListeners: 503,
    PreconditionFailed: 412,
    RangeNotSatisfiable: 416,
    stores.SourceError: 400,
    stores.SourceTooLarge: 413,
    stores.SourceRejected: 415,
    stores.BadLocation: 400,
    stores.BlobNotFound: 404,
    stores.BlobChanged: 502,
    stores.Duplicate: 409,
    stores.Unsupported: 400,
    stores.StoreFull: 413,
    stores.TooLarge: 413,
    stores.Unavailable: 503,
    stores.StoreError: 502,
}
_SENTENCE = {
    URLDecodeError: "The path is not UTF-8.",
    UnicodeDecodeError: "The request is not UTF-8.",
    database.ImageNotFound: "Image not found",
    database.StatusConflict: (
        "Another request has changed the image, and its status no longer allows this. "
        "Read the image again, and then decide."
    ),
    token_file.TokensUnreadable: "Tokens cannot be checked at the moment.",  # hides the file's path
}
#: Exceptions that are not logged here, because the code that reads copies has already logged each bad one.
_REPORTED = (model.NoGoodCopy, model.SessionBusy)
#: Exceptions whose message is all that an operator needs to know, so that the log has no traceback.
_OF_OPERATORS = (stores.Misconfigured, token_file.TokensUnreadable, feed.TooManyListeners)
_NOT_FOUND = "Not found"
#: The headers that are copied from the exception to the response.
_HEADERS = ("Allow", "Accept-Patch", "Content-Range", "Tus-Version")
_READING = ("GET", "HEAD", "OPTIONS")
#: Retry-After in seconds for a 503 if the exception has no time of its own, such as DatabaseUnavailable.
DATABASE_RETRY_AFTER = 5

ErrorForm = Callable[[Request, int, str], Response]


@dataclass(frozen=True, slots=True)
class Errors:
    """The form and the statuses of one dialect's errors, and the media types of the form."""

    form: ErrorForm
    statuses: Mapping[type[BaseException], int]
    media: Sequence[str] = ("text/plain",)


def respond(error: Exception, request: Request) -> Response:
    """Return the response to an exception, in the form of the request's dialect."""
    dialect = _dialect(request)
    form = dialect.form
    kind = next((kind for kind in type(error).__mro__ if kind in dialect.statuses), None)
    if isinstance(error, HTTPException):
        status, text = _of_pyramid(error, request)
    elif isinstance(error, Problem):
        status, text, form = error.status, str(error), error.respond
    elif kind is None:
        log.exception("request %s: unexpected error", request.id)
        status, text = 500, "The server failed; its log has the details under this request's id."
    else:
        status, text = dialect.statuses[kind], _SENTENCE.get(kind, stores.for_clients(error))
        if isinstance(error, _OF_OPERATORS):
            log.error("request %s: %s", request.id, error)
        elif status >= 500 and kind not in _REPORTED:
            log.error(
                "request %s: %s", request.id, stores.for_clients(error), exc_info=error.__cause__ or error
            )
    if status in (401, 403) and request.method not in _READING:
        _log_refusal(request, f"{shown(request.environ.get('PATH_INFO', ''))}: {status} {text}")
    response = form(request, status, text)
    response.headers.update(request.error_headers)
    retry_after = getattr(error, "retry_after", DATABASE_RETRY_AFTER if status == 503 else None)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if status == 401:
        response.headers["WWW-Authenticate"] = security.CHALLENGE
    headers = getattr(error, "headers", {})
    response.headers.update({name: headers[name] for name in _HEADERS if name in headers})
    return response


def _log_refusal(request: Request, detail: str) -> None:
    """Write a refused change to the audit log, because the audit table contains only completed changes."""
    caller = request.known_caller
    unknown = Actor(origin=Origin(address=request.environ.get("REMOTE_ADDR"), request_id=request.id))
    context = getattr(request, "context", None)
    image_id = context.image.id if isinstance(context, ImageResource) else None
    actor = unknown if caller is None else caller.actor
    log_record(new_record(request.method, image_id, actor, detail, Outcome.REFUSED))


def plain_text(request: Request, status: int, text: str) -> Response:
    """Return an error as one sentence of plain text."""
    return Response(text, status=status, content_type="text/plain", charset="utf-8")


def json_document(request: Request, status: int, text: str) -> Response:
    """Return an error as nested JSON, because a flat document crashes some clients."""
    error = {"code": status, "title": http.HTTPStatus(status).phrase, "message": text}
    return Response(json={"error": error}, status=status)


def _of_pyramid(error: HTTPException, request: Request) -> tuple[int, str]:
    """Return the HTTP status and the message for one of Pyramid's exceptions."""
    if isinstance(error, HTTPForbidden):
        permission = getattr(error.result, "permission", "")
        if isinstance(request.context, Resource) and request.context.hides(permission):
            return 404, _NOT_FOUND  # the same sentence as for an unknown id
        if request.caller.outside:
            return 403, "Images belong to projects: use a token that is scoped to a project."
        return 403, "You are not allowed to do this."
    if isinstance(error, HTTPNotFound):
        return 404, _NOT_FOUND  # Pyramid's own sentence quotes the path and the predicates
    return error.code, error.detail or http.HTTPStatus(error.code).phrase


def _dialect(request: Request) -> Errors:
    """Return the form and the statuses of errors below the first segment of the path."""
    segment = request.environ.get("PATH_INFO", "").lstrip("/").partition("/")[0]
    return forms_of(request.registry, segment)


def forms_of(registry: Registry, segment: str) -> Errors:
    """Return the form and the statuses of errors below the first segment of a path."""
    forms: dict[str, Errors] = registry[FORMS]
    return forms.get(segment, _PLAIN)


_PLAIN = Errors(plain_text, STATUS)


def includeme(config: Configurator) -> None:
    """Register the exception view, and the directive `add_error_form` for dialects and extensions."""
    config.registry[FORMS] = {}
    config.add_directive("add_error_form", _add_error_form)
    config.add_exception_view(respond, context=Exception)
    config.add_notfound_view(respond)
    config.add_forbidden_view(respond)


def _add_error_form(
    config: Configurator,
    segment: str,
    form: ErrorForm,
    statuses: Mapping[type[BaseException], int] | None = None,
    media: Sequence[str] = ("text/plain",),
) -> None:
    """Set the form of errors below a path segment, and the statuses there that differ from `STATUS`.

    `media` has the media types of the form.
    """
    config.registry[FORMS][segment] = Errors(form, {**STATUS, **(statuses or {})}, media)
