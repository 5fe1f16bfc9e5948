"""The views of the IETF's resumable uploads on an upload session: draft-ietf-httpbis-resumable-upload."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPUnsupportedMediaType
from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.operations import CHANGES, NONE, STRING, UPLOADS, Operation
from calotype.api.http.problems import Problem
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.http.resumption import (
    COMPLETE,
    LENGTH,
    LIMIT,
    OFFSET,
    PROBLEMS,
    ended_by_refusal,
    finish,
    inconsistent_length,
    limits,
    limits_response,
    read_complete,
    read_length,
    read_number,
)
from calotype.api.uploads.chunks import append, read_content, require_offset
from calotype.api.uploads.resources import DraftUpload
from calotype.model import policy
from calotype.model.errors import Incomplete, SessionBusy, SessionEnded, WrongLength, WrongOffset
from calotype.model.fields import InvalidRequest
from calotype.model.sessions import SessionStatus, UploadSession

MEDIA_TYPE = "application/partial-upload"
_HEADERS = dict.fromkeys((OFFSET, COMPLETE, LENGTH), STRING)


@view_config(
    context=DraftUpload, method="OPTIONS", permission=policy.UPLOAD, operation=Operation({204: NONE})
)
def options(context: DraftUpload, request: Request) -> Response:
    """OPTIONS /uploads/ID: the limits of sessions."""
    return limits_response(request)


@view_config(context=DraftUpload, method="GET", permission=policy.UPLOAD, operation=Operation({204: NONE}))
def state(context: DraftUpload, request: Request) -> Response:
    """GET and HEAD /uploads/ID: where the upload continues. End the request that writes to it, if any."""
    session = request.lifecycle.sessions.state(context.session.id, request.caller, ends_writers=True)
    length = {} if session.length is None else {LENGTH: f"{session.length}"}
    return nothing(204, {**_progress(request, session), **length, "Cache-Control": "no-store"})


@view_config(
    context=DraftUpload,
    method="PATCH",
    permission=policy.UPLOAD,
    operation=Operation(
        {200: NONE, 201: NONE, 204: NONE},
        body={MEDIA_TYPE: {}},
        headers=_HEADERS,
        errors=(*UPLOADS, SessionBusy, SessionEnded),
        refusals={415: "The Content-Type is not that of bytes."},
    ),
)
def add(context: DraftUpload, request: Request) -> Response:
    """PATCH /uploads/ID: add bytes. If they are the last ones, return the response to the whole upload."""
    if request.media_type != MEDIA_TYPE:
        raise HTTPUnsupportedMediaType(
            f"The Content-Type must be {MEDIA_TYPE}.", headers={"Accept-Patch": MEDIA_TYPE}
        )
    offset, complete = read_number(request, OFFSET), read_complete(request)
    if offset is None or complete is None:
        raise InvalidRequest(f"Send {OFFSET} with a number of bytes, and {COMPLETE} with ?0 or ?1.")
    if complete and context.session.is_partial:
        raise Incomplete("A partial upload becomes an image only together with others, by tus.")
    request.error_headers.update(_progress(request, context.session))
    session = _append(request, context.session, offset)
    request.error_headers.update(_progress(request, session))
    if complete:
        return finish(request, session)
    return nothing(204, _progress(request, session))


def _append(request: Request, session: UploadSession, offset: int) -> UploadSession:
    """Add the bytes of the request.

    Raises:
        Problem: the offset or the length differs from that of the session.
    """
    source = read_content(request)
    try:
        require_offset(session, offset)
        length = read_length(request, source, offset)
        if length is not None:
            session = request.lifecycle.sessions.announce(session.id, request.caller, length)
        with ended_by_refusal(request):
            return append(request, session, source)
    except WrongLength as error:
        raise inconsistent_length(str(error)) from error
    except WrongOffset as error:
        request.error_headers[OFFSET] = f"{error.expected}"
        members = {"expected-offset": error.expected, "provided-offset": error.offset}
        kind = f"{PROBLEMS}mismatching-upload-offset"
        raise Problem(409, kind, "Mismatching Upload Offset", str(error), members) from error


@view_config(
    context=DraftUpload,
    method="DELETE",
    permission=policy.UPLOAD,
    operation=Operation({204: NONE}, errors=(*CHANGES, SessionBusy, SessionEnded)),
)
def cancel(context: DraftUpload, request: Request) -> Response:
    """DELETE /uploads/ID: end the session and remove its bytes."""
    request.lifecycle.sessions.abort(context.session.id, request.caller)
    return nothing()


def _progress(request: Request, session: UploadSession) -> dict[str, str]:
    is_finished = session.status is SessionStatus.FINISHED
    return {
        COMPLETE: "?1" if is_finished else "?0",
        OFFSET: f"{session.offset}",
        LIMIT: limits(request, session),
    }
