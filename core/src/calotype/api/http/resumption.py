"""Uploads of all dialects, which a client can resume if it asks for that.

An upload with the header Upload-Complete is a resumable upload of the IETF's draft "Resumable Uploads for
HTTP" (draft-ietf-httpbis-resumable-upload, interop version 8). The server creates an upload session, whose
URL it announces. `calotype.api.uploads.draft` serves that URL. Any other upload is a single request.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import http_sf
from pyramid.config import Configurator
from pyramid.response import Response

from calotype.api.http.digests import content_digests, whole_digests
from calotype.api.http.problems import Problem
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.http.uploads import UploadBody
from calotype.api.http.versions import base_url
from calotype.config.messages import quoted
from calotype.model.change import Change
from calotype.model.errors import OpenSession
from calotype.model.fields import InvalidRequest
from calotype.model.images import Image
from calotype.model.sessions import UploadSession
from calotype.model.states import Status
from calotype.stores.errors import SourceRejected
from calotype.transfers.readers import Source
from calotype.transfers.sessions.chunks import Chunk

COMPLETE, OFFSET, LENGTH, LIMIT = "Upload-Complete", "Upload-Offset", "Upload-Length", "Upload-Limit"
#: The version of the draft. Only a client of the same version gets status 104 (its appendix on versions).
INTEROP_VERSION = 8
#: The registry's key for the forms of uploads, by name.
FORMS = "calotype.upload_forms"
#: The beginning of the types of the draft's problem documents.
PROBLEMS = "https://iana.org/assignments/http-problem-types#"

_INTEROP = "Upload-Draft-Interop-Version"
_SUPPORTED = "104 Upload Resumption Supported"
#: Maximum length of a header that has one value, in characters. A longer one counts as invalid.
_ITEM_MAX = 100


@dataclass(frozen=True, slots=True)
class UploadForm:
    """How one kind of request uploads an image.

    `name` is unique, and upload sessions record it. `on_failure` is the status of the image after a failed
    upload. `respond` makes the response to a complete upload.
    """

    name: str
    on_failure: Status
    respond: Callable[[Request, Image], Response]


def read_complete(request: Request) -> bool | None:
    """Return the value of Upload-Complete, or None without the header.

    The draft lets a server ignore an invalid value. Here that would take a part for the whole image.

    Raises:
        InvalidRequest: the value is invalid.
    """
    text = request.headers.get(COMPLETE)
    value = _read_item(text)
    if text is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{COMPLETE} must be ?0 or ?1, not {quoted(text)}.")
    return value


def read_number(request: Request, name: str) -> int | None:
    """Return the value of Upload-Offset or Upload-Length, or None without the header.

    Raises:
        InvalidRequest: the value is invalid.
    """
    text = request.headers.get(name)
    value = _read_item(text)
    if text is not None and not (type(value) is int and value >= 0):
        raise InvalidRequest(f"{name} must be a number of bytes, not {quoted(text)}.")
    return value


def _read_item(text: str | None) -> Any:
    """Return the value of an item (RFC 9651 3.3) without its parameters; None if the text is not one."""
    if not text or len(text) > _ITEM_MAX:
        return None
    try:
        value, _ = cast(tuple[Any, Any], http_sf.parse(text.encode("latin-1"), tltype="item"))
    except ValueError:
        return None
    return value


def is_resumable(request: Request) -> bool:
    """Return whether the request asks for a resumable upload.

    Raises:
        InvalidRequest: a header of resumable uploads is invalid or lacks Upload-Complete, or the dialect of
            upload sessions is off, and the body is only a part of the image.
    """
    complete = read_complete(request)
    if complete is None:
        if lost := [name for name in (OFFSET, LENGTH) if name in request.headers]:
            raise InvalidRequest(f"{lost[0]} needs {COMPLETE}, which says whether all bytes are here.")
        return False
    if "uploads" in request.settings.dialects:
        return True
    require_whole(request)
    return False


def require_whole(request: Request) -> None:
    """Raise InvalidRequest if the body is only a part of an image, so that it is not taken for all of it."""
    if read_complete(request) is False:
        raise InvalidRequest(f"{COMPLETE} must be ?1 here, because all bytes must come in one request.")


def receive_upload(request: Request, change: Change, body: UploadBody, form: UploadForm) -> Response:
    """Store the request's body as the bytes of an image, and return the response.

    If the upload is resumable and the body is not all of it, the response leads to the upload session.

    Raises:
        Problem: the headers tell different lengths.
        Exception: the errors of `Lifecycle.upload` and of `Sessions`.
    """
    if not is_resumable(request):
        return form.respond(request, request.lifecycle.upload(change, body, on_failure=form.on_failure))
    sessions = request.lifecycle.sessions
    request.error_headers.update({COMPLETE: "?0", LIMIT: limits(request)})
    chunk = Chunk(0, body, content_digests(request))
    change = with_whole_digests(request, change)
    note = json.dumps({"form": form.name})
    with leading_to_open_session(request):
        session = sessions.begin(change, read_length(request, body), on_failure=form.on_failure, note=note)
    announced = {"Location": upload_url(request, session.id), LIMIT: limits(request, session)}
    request.error_headers.update(announced)
    _announce(request, announced)
    with ended_by_refusal(request):
        session = sessions.write(session.id, request.caller, chunk)
    if read_complete(request):
        return finish(request, session)
    return nothing(201, {**announced, COMPLETE: "?0", OFFSET: f"{session.offset}"})


def with_whole_digests(request: Request, change: Change) -> Change:
    """Return a change that also demands the digest in Repr-Digest.

    Raises:
        InvalidRequest: see `whole_digests`.
    """
    return change.with_fields(digests={**change.fields.digests, **whole_digests(request)})


def read_length(request: Request, content: Source, offset: int = 0) -> int | None:
    """Return the length of the whole image if the request tells it, directly or by ending the upload.

    Raises:
        Problem: the headers tell different lengths.
    """
    declared, is_last = read_number(request, LENGTH), read_complete(request)
    if content.length is None:
        return declared
    end = offset + content.length
    if declared is not None and (end > declared or (is_last and end < declared)):
        raise inconsistent_length(f"{LENGTH} is {declared}, but the content ends at byte {end}.")
    return end if declared is None and is_last else declared


def inconsistent_length(message: str) -> Problem:
    """Return the error for a request that contradicts the length of the upload."""
    title = "Inconsistent Upload Length Values"
    return Problem(400, f"{PROBLEMS}inconsistent-upload-length", title, message)


def finish(request: Request, session: UploadSession) -> Response:
    """Make the image active with the bytes of the session, and return what its first request would have got.

    Raises:
        Problem: the session lacks bytes.
        Exception: the errors of `Sessions.finish`. Their responses say that the upload cannot be continued.
    """
    sessions = request.lifecycle.sessions
    if session.length is None:
        session = sessions.announce(session.id, request.caller, session.offset)
    elif session.offset < session.length:
        raise inconsistent_length(
            f"{LENGTH} is {session.length}, but the upload was to be complete with {session.offset} bytes."
        )
    request.error_headers[COMPLETE] = "?1"
    response = _form_of(request, session)(request, sessions.finish(session.id, request.caller))
    response.headers[COMPLETE] = "?1"
    return response


def _form_of(request: Request, session: UploadSession) -> Callable[[Request, Image], Response]:
    """Return the function that responds to a complete upload as the request that created the session."""
    form: UploadForm | None = request.registry[FORMS].get(json.loads(session.note).get("form"))
    return (lambda request, image: nothing()) if form is None else form.respond


@contextlib.contextmanager
def ended_by_refusal(request: Request) -> Iterator[None]:
    """Tell the client that it cannot continue, if the block refuses the image at its first bytes."""
    try:
        yield
    except SourceRejected:
        request.error_headers[COMPLETE] = "?1"
        raise


@contextlib.contextmanager
def leading_to_open_session(request: Request) -> Iterator[None]:
    """Add the URL of an image's open session to the error that refuses another one.

    A client needs it if the response to its first request was lost.
    """
    try:
        yield
    except OpenSession as error:
        request.error_headers["Location"] = upload_url(request, error.session_id)
        raise


def upload_url(request: Request, session_id: str) -> str:
    """Return the URL of an upload session."""
    return f"{base_url(request)}/uploads/{session_id}"


def limits(request: Request, session: UploadSession | None = None) -> str:
    """Return the value of Upload-Limit for a session, or for a session that would be created now."""
    seconds = request.settings.upload_expiry
    if session is not None:
        seconds = max(0.0, (session.expires - datetime.datetime.now(datetime.UTC)).total_seconds())
    return f"max-size={int(request.settings.image_size_cap)}, max-age={int(seconds)}"


def limits_response(request: Request) -> Response:
    """Return the response to OPTIONS for a resource that takes resumable uploads."""
    return nothing(204, {LIMIT: limits(request)})


def _announce(request: Request, headers: Mapping[str, str]) -> None:
    """Tell the client where it can resume, if the client and the server can use interim responses."""
    send = request.environ.get("calotype_server.send_interim")
    if send is not None and _read_item(request.headers.get(_INTEROP)) == INTEROP_VERSION:
        send(_SUPPORTED, [*headers.items(), (_INTEROP, f"{INTEROP_VERSION}")])


def includeme(config: Configurator) -> None:
    """Install the directive `add_upload_form` for dialects."""
    config.registry[FORMS] = {}
    config.add_directive("add_upload_form", _add_upload_form)


def _add_upload_form(config: Configurator, form: UploadForm) -> None:
    config.registry[FORMS][form.name] = form
