"""The verbs on upload sessions: an image's bytes arrive in chunks, and continue after a broken connection."""

from __future__ import annotations

from collections.abc import Sequence

from calotype.model.change import Change
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.sessions import UploadSession
from calotype.model.states import Status
from calotype.transfers.sessions.chunks import Chunk


class Sessions:
    """The verbs on upload sessions, for one database and one catalog. All threads share an instance.

    Each verb checks the caller's right to upload to the image. If the caller may not know of the session, the
    verb raises NotFound.
    """

    def begin(self, change: Change, length: int | None, *, on_failure: Status) -> UploadSession:
        """Create an image, or take a queued one, whose bytes arrive in chunks. The image is queued meanwhile.

        `length` is the number of all bytes, or None if it will be announced later. `on_failure` is the status
        of the image if the session fails or expires: killed, or queued.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule; nothing was recorded.
            RequestTooLarge: the length exceeds the limit; nothing was recorded.
            DuplicateImage: the image's id is taken; nothing was recorded.
            LimitReached: the project's quota or number of sessions is used up; nothing was recorded.
            NotQueued: the image already has bytes, or is getting them.
            OpenSession: the image has an open session.
            StoreError: the store cannot take the upload; the session has failed.
        """
        raise NotImplementedError

    def begin_partial(self, caller: Caller, length: int | None) -> UploadSession:
        """Begin a session without an image, whose bytes become part of one by `concatenate`.

        Raises:
            NotAllowed, RequestTooLarge, LimitReached, UnknownStore: see `begin`.
        """
        raise NotImplementedError

    def write(self, session_id: str, caller: Caller, chunk: Chunk) -> UploadSession:
        """Add the bytes of a chunk to a session, and return the session as it is then.

        If the source breaks, its error is raised, and the bytes that arrived before are kept.

        Raises:
            NotFound: there is no such session, or the caller may not know of it.
            NotAllowed, CallerExpired: the caller has lost its right to the image.
            SessionEnded: the session takes no more bytes.
            WrongOffset: the chunk is alone, and does not begin at the session's offset.
            Superseded: a newer chunk has continued the session.
            Overlap: bytes of the chunk have arrived before, and differ.
            WrongDigest: the chunk has another digest than declared; none of its bytes are kept.
            SourceTooLarge: the chunk exceeds the session's length, or a limit.
            LimitReached: the project's quota does not allow more bytes.
            SourceError, StoreError: the source or the store failed; the session stays open.
        """
        raise NotImplementedError

    def announce(self, session_id: str, caller: Caller, length: int) -> UploadSession:
        """Set the length of a session that was begun without one. Repeating the same length is no error.

        Raises:
            WrongLength: another length was announced, or more bytes have arrived already.
            RequestTooLarge, LimitReached: the length exceeds a limit.
            NotFound, NotAllowed, CallerExpired, SessionEnded: see `write`.
        """
        raise NotImplementedError

    def state(self, session_id: str, caller: Caller, *, ends_writers: bool = False) -> UploadSession:
        """Return a session. With `ends_writers`, first end the requests that write to it alone.

        Raises:
            SessionEnded: the session failed or expired; the message says why.
            NotFound, NotAllowed, CallerExpired: see `write`.
        """
        raise NotImplementedError

    def finish(self, session_id: str, caller: Caller) -> Image:
        """Make the image active with the bytes of its session, and return it.

        If the session has been finished already, only return the image.

        Raises:
            Incomplete: bytes are missing, or the session is partial.
            SessionBusy: another request is finishing the session.
            SourceError: the bytes are not as declared, or not acceptable; the session has failed.
            Unavailable, StoreFull: the store cannot be used now; the session stays complete.
            ImageGone: the image was deleted meanwhile.
            NotFound, NotAllowed, CallerExpired, SessionEnded: see `write`.
        """
        raise NotImplementedError

    def abort(self, session_id: str, caller: Caller) -> None:
        """End a session, and remove its bytes. The image gets the status `on_failure` of the session.

        Raises:
            NotFound, NotAllowed, CallerExpired, SessionEnded, SessionBusy: see `write` and `finish`.
        """
        raise NotImplementedError

    def concatenate(self, change: Change, session_ids: Sequence[str], *, on_failure: Status) -> UploadSession:
        """Begin a session that consists of complete partial sessions, in order. They end with this.

        The new session is complete, so that `finish` can follow.

        Raises:
            Incomplete: one of the sessions is not partial, or lacks bytes.
            NotFound, SessionEnded: one of the sessions does not exist, is not the caller's, or has ended.
            InvalidRequest, NotAllowed, UnknownStore, DuplicateImage, LimitReached, NotQueued: see `begin`.
        """
        raise NotImplementedError
