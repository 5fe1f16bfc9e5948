"""The resource tree of upload sessions: /uploads and /uploads/ID, for both protocols."""

from __future__ import annotations

from typing import ClassVar

from pyramid.authorization import Allow

from calotype.api.http.request import Request
from calotype.api.http.resources import Resource, Root
from calotype.model import policy
from calotype.model.fields import canonical_id
from calotype.model.sessions import UploadSession

#: The media type of bytes in tus 1.0.
TUS_BYTES = "application/offset+octet-stream"
#: The header that has the version of tus.
TUS = "Tus-Resumable"


def speaks_tus(request: Request) -> bool:
    """Return whether the client uses tus 1.0. Only tus has POST requests to /uploads."""
    return TUS in request.headers or request.media_type == TUS_BYTES or request.method == "POST"


class Upload(Resource):
    """An upload session, as it was when the request arrived."""

    # `Uploads` has read the session, which `Sessions.state` refuses to a caller without the right to upload.
    __acl__: ClassVar = [(Allow, policy.AUTHENTICATED, (policy.UPLOAD,))]
    methods_shown_with: ClassVar[str] = policy.UPLOAD

    def __init__(self, request: Request, name: str, parent: Resource, session: UploadSession):
        super().__init__(request, name, parent)
        self.session = session


class TusUpload(Upload):
    """/uploads/ID: an upload session, for a client of tus"""


class DraftUpload(Upload):
    """/uploads/ID: an upload session, for a client of the IETF's draft"""


class Uploads(Resource):
    """/uploads: the upload sessions"""

    __acl__: ClassVar = Root.__acl__

    def __getitem__(self, name: str) -> Upload:
        """Return the session with this id.

        Raises:
            KeyError: the name is not an id.
            NotFound, NotAllowed, SessionEnded: see `Sessions.state`.
        """
        caller, session_id = self.request.caller, canonical_id(name)
        if session_id is None:
            raise KeyError(name)
        kind = TusUpload if speaks_tus(self.request) else DraftUpload
        return kind(self.request, name, self, self.request.lifecycle.sessions.state(session_id, caller))
