"""The views of tus 1.0. https://tus.io/protocols/resumable-upload"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPClientError, HTTPForbidden, HTTPNotFound, HTTPPreconditionFailed
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from calotype.api.http.operations import CHANGES, NONE, STRING, UPLOADS, Content, Operation
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.http.resumption import leading_to_open_session, upload_url, with_whole_digests
from calotype.api.uploads import tus_headers
from calotype.api.uploads.chunks import append, read_content, require_offset
from calotype.api.uploads.metadata import IMAGE_ID, read_existing, read_metadata, read_new
from calotype.api.uploads.resources import TUS, TUS_BYTES, TusUpload, Uploads
from calotype.api.uploads.tus_headers import Note, head_headers, session_headers
from calotype.config.messages import quoted
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import SessionBusy, SessionEnded, WrongDigest
from calotype.model.fields import InvalidRequest, check_formats
from calotype.model.sessions import SessionStatus, UploadSession
from calotype.model.states import Status

View = Callable[[Any, Request], Response]

_CONTENT: Content = {TUS_BYTES: {}}
_CHUNK_HEADERS = dict.fromkeys((TUS, tus_headers.OFFSET, tus_headers.LENGTH, tus_headers.CHECKSUM), STRING)
_CREATION_HEADERS = {**_CHUNK_HEADERS, tus_headers.METADATA: STRING, tus_headers.CONCAT: STRING}
_REFUSALS = {
    412: "The version of tus is missing, or is not 1.0.0.",
    415: "The Content-Type is not that of bytes.",
    460: "The bytes do not have the digest of Upload-Checksum.",
}


class ChecksumMismatch(HTTPClientError):
    """The status of tus for bytes that do not have the digest of Upload-Checksum."""

    code = 460
    title = "Checksum Mismatch"


def tus_view(**predicates: Any) -> view_config:
    """Register a view that serves only requests of version 1.0.0, and marks its responses."""
    return view_config(decorator=_versioned, **predicates)


def _versioned(view: View) -> View:
    def versioned(context: Any, request: Request) -> Response:
        version = request.headers.get(TUS)
        if version != tus_headers.VERSION:
            given = "is missing" if version is None else f"is {quoted(version)}"
            raise HTTPPreconditionFailed(
                f"{TUS} must be {tus_headers.VERSION}; it {given}.",
                headers={"Tus-Version": tus_headers.VERSION},
            )
        try:
            response = view(context, request)
        except WrongDigest as error:
            raise ChecksumMismatch(str(error)) from error
        response.headers[TUS] = version
        return response

    return versioned


@view_config(
    context=Uploads, method="OPTIONS", permission=NO_PERMISSION_REQUIRED, operation=Operation({204: NONE})
)
@view_config(context=TusUpload, method="OPTIONS", permission=policy.UPLOAD, operation=Operation({204: NONE}))
def options(context: Uploads | TusUpload, request: Request) -> Response:
    """OPTIONS /uploads and /uploads/ID: the version, the extensions and the limits of tus."""
    offered = {
        TUS: tus_headers.VERSION,
        "Tus-Version": tus_headers.VERSION,
        "Tus-Extension": ",".join(tus_headers.EXTENSIONS),
        "Tus-Max-Size": f"{int(request.settings.image_size_cap)}",
        "Tus-Checksum-Algorithm": ",".join(tus_headers.CHECKSUMS),
    }
    return nothing(204, offered)


@tus_view(
    context=Uploads,
    method="POST",
    permission=policy.CREATE,
    operation=Operation(
        {201: NONE}, body=_CONTENT, headers=_CREATION_HEADERS, errors=UPLOADS, refusals=_REFUSALS
    ),
)
def create(context: Uploads, request: Request) -> Response:
    """POST /uploads: begin a session, perhaps with its first bytes, or concatenate partial sessions."""
    if request.announces_body:
        tus_headers.require_bytes(request)
    digests, source = tus_headers.read_checksum(request), read_content(request)
    session = _begin(request)
    location = {"Location": upload_url(request, session.id)}
    request.error_headers.update(location)
    if source.length != 0:
        session = append(request, session, source, digests)
    _finish_complete(request, session)
    return nothing(201, {**session_headers(session), **location})


def _begin(request: Request) -> UploadSession:
    """Begin the session that the headers describe."""
    sessions, concat = request.lifecycle.sessions, tus_headers.read_concat(request)
    metadata = request.headers.get(tus_headers.METADATA, "")
    given = read_metadata(metadata)
    note = Note(metadata, request.headers.get(tus_headers.CONCAT, "")).dump()
    if concat:
        if request.announces_body or tus_headers.LENGTH in request.headers:
            raise InvalidRequest(f"A concatenation has neither a body nor {tus_headers.LENGTH}.")
        return sessions.concatenate(_change(request, given), concat, on_failure=Status.KILLED, note=note)
    length = tus_headers.read_length(request)
    if concat is not None:
        return sessions.begin_partial(request.caller, length, note=note)
    change = _change(request, given)
    # An image that is created for this upload is of no use without it. A reserved one can be tried again.
    on_failure = Status.KILLED if change.image is None else Status.QUEUED
    with leading_to_open_session(request):
        return sessions.begin(change, length, on_failure=on_failure, note=note)


def _change(request: Request, given: dict[str, str]) -> Change:
    """Return the change of a new image, or of the image that the metadata names.

    Raises:
        HTTPNotFound, HTTPForbidden: the caller may not see the image, or not upload to it.
        InvalidRequest: a field is invalid, or a format is missing.
    """
    image = None
    if IMAGE_ID in given:
        image = request.visible_image(given[IMAGE_ID])
        if image is None:
            raise HTTPNotFound
        if not policy.may(request.caller, policy.UPLOAD, policy.image_grants(image)):
            raise HTTPForbidden
    draft = read_new(given, request.settings) if image is None else read_existing(given)
    check_formats(draft, image)
    return with_whole_digests(request, Change(request.caller, draft, image))


@tus_view(
    context=TusUpload,
    method="HEAD",
    permission=policy.UPLOAD,
    operation=Operation({200: NONE}, headers={TUS: STRING}, errors=UPLOADS, refusals=_REFUSALS),
)
def state(context: TusUpload, request: Request) -> Response:
    """HEAD /uploads/ID: where the upload continues. End the request that writes to it, if any.

    If all bytes are there, the client considers the upload complete. Therefore the image is finished, if a
    crash has prevented that.
    """
    session = request.lifecycle.sessions.state(context.session.id, request.caller, ends_writers=True)
    _finish_complete(request, session)
    return nothing(200, head_headers(session))


@tus_view(
    context=TusUpload,
    method="PATCH",
    permission=policy.UPLOAD,
    operation=Operation(
        {204: NONE},
        body=_CONTENT,
        headers=_CHUNK_HEADERS,
        errors=(*UPLOADS, SessionBusy, SessionEnded),
        refusals=_REFUSALS,
    ),
)
def add(context: TusUpload, request: Request) -> Response:
    """PATCH /uploads/ID: add bytes. With the last of them, the image becomes active."""
    tus_headers.require_bytes(request)
    offset, length = (
        tus_headers.read_number(request, name) for name in (tus_headers.OFFSET, tus_headers.LENGTH)
    )
    session = context.session
    if Note.of(session).is_final:
        raise HTTPForbidden("This upload was made of others, so no bytes can be added to it.")
    if offset is None:
        raise InvalidRequest(f"{tus_headers.OFFSET} is missing.")
    digests, source = tus_headers.read_checksum(request), read_content(request)
    require_offset(session, offset)
    if length is not None:
        session = request.lifecycle.sessions.announce(session.id, request.caller, length)
    session = append(request, session, source, digests)
    _finish_complete(request, session)
    return nothing(204, session_headers(session))


@tus_view(
    context=TusUpload,
    method="DELETE",
    permission=policy.UPLOAD,
    operation=Operation(
        {204: NONE}, headers={TUS: STRING}, errors=(*CHANGES, SessionBusy, SessionEnded), refusals=_REFUSALS
    ),
)
def terminate(context: TusUpload, request: Request) -> Response:
    """DELETE /uploads/ID: end the session and remove its bytes."""
    request.lifecycle.sessions.abort(context.session.id, request.caller)
    return nothing()


def _finish_complete(request: Request, session: UploadSession) -> None:
    """Make the image active if all bytes of the session are there, and it is not partial."""
    is_waiting = session.offset == session.length and session.status is not SessionStatus.FINISHED
    if is_waiting and session.image_id is not None:
        request.lifecycle.sessions.finish(session.id, request.caller)
