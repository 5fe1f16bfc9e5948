"""The errors that the verbs raise. `api.http.errors` maps each of them to an HTTP status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest
from calotype.model.states import Status

#: Status of an image -> the advice to a client whose request needs another status.
_CURES: Mapping[Status, str] = {
    Status.QUEUED: "stage its bytes first",
    Status.SAVING: "wait until its upload has ended, or create a new one",
    Status.UPLOADING: "import the bytes that were staged, or create a new one",
    Status.IMPORTING: "wait until its import has ended, or create a new one",
    Status.ACTIVE: "its bytes never change, so create a new one",
    Status.DEACTIVATED: "its bytes never change, so create a new one",
    Status.KILLED: "create a new one",
    Status.DELETED: "create a new one",
}


class UnknownStore(InvalidRequest):
    """The request names a store that does not exist, or names none although there is no default store."""


class UnknownTarget(Exception):
    """The target of an import or a copy is a store that does not exist, or that takes no uploads."""


def no_store(name: str, others: Iterable[str]) -> str:
    """Return the message about a store that does not exist, with the names of the stores that do."""
    return f"There is no store {quoted(name)}; use one of: {', '.join(others)}."


class Conflict(Exception):
    """The request conflicts with the current state."""


class NotAllowed(Exception):
    """The caller may see the image, but lacks the right to do this."""


class CallerExpired(Exception):
    """The caller's token expired before the request could change anything."""

    def __init__(self) -> None:
        super().__init__("Authentication is required: the token expired before the request was complete.")


class NotFound(Exception):
    """The tag, member or definition does not exist."""


class NotQueued(Exception):
    """The image's status, or an open job, does not allow the request."""

    @classmethod
    def of(cls, problem: str, status: Status, *, at_work: bool = False) -> Self:
        """Return the error with the image's status and the client's options.

        `at_work` is true if the image has a job that has not ended.
        """
        if at_work and status is Status.QUEUED:
            return cls(f"{problem}. This image is queued and has an open import; wait until that has ended.")
        return cls(f"{problem}. This image is {status}; {_CURES[status]}.")


class Protected(Exception):
    """The image is protected from being deleted."""


class ImageGone(Exception):
    """The image was deleted during its upload."""


class TakenOver(Exception):
    """A sweep ended the upload because the process that received it had not renewed its lease."""

    def __init__(self) -> None:
        super().__init__(
            "The upload was taken over by a sweep because the server was paused for too long: upload again."
        )


class NoGoodCopy(Exception):
    """The image is active, but all its copies are damaged or missing."""


class NoData(Exception):
    """The image does not have bytes yet, or no longer has them."""


class OpenSession(Conflict):
    """The image has an open upload session, so no other request can give it bytes."""

    def __init__(self, session_id: str) -> None:
        super().__init__("The image has an open upload session: finish or end that first.")
        self.session_id = session_id


class WrongOffset(Conflict):
    """A chunk does not begin at the session's current offset. Both offsets are in bytes."""

    def __init__(self, expected: int, offset: int):
        super().__init__(f"The chunk begins at byte {offset}, but the session continues at byte {expected}.")
        self.expected = expected
        self.offset = offset


class Overlap(Conflict):
    """A chunk contains bytes that have arrived already, and differs from them or cannot be compared."""


class Superseded(Conflict):
    """A newer request has taken over the upload session. The bytes up to the session's offset are kept."""

    def __init__(self) -> None:
        super().__init__("A newer request has continued the upload, so this one has ended.")


class Incomplete(Conflict):
    """The session cannot be finished, because bytes are missing or its length is not known."""


class SessionBusy(Exception):
    """Another request or process is making the image of the session's bytes at this moment."""

    def __init__(self) -> None:
        super().__init__("The upload is being finished at this moment: ask again.")


class SessionEnded(Exception):
    """The session has finished, failed or expired, so it takes no more bytes."""


class WrongDigest(Exception):
    """The bytes of a chunk do not have the declared digest. None of them were kept."""

    def __init__(self, algorithm: str):
        super().__init__(f"The chunk does not have the declared {algorithm} digest, so none of it was kept.")
        self.algorithm = algorithm


class WrongLength(InvalidRequest):
    """The length of an upload session was announced before with another value, or is too small."""
