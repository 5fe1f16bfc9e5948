"""The errors of the client: one tree, whose root is CalotypeError.

Each error says what went wrong, and in `advice` what to do next, if the client knows it. Errors that a server
answered also have the HTTP status and the id of the request, by which the server's operator finds it.
"""

from __future__ import annotations


class CalotypeError(Exception):
    """The root of all errors that the client raises on its own account."""

    def __init__(
        self,
        message: str,
        *,
        advice: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.status = status
        self.request_id = request_id


class SettingsError(CalotypeError):
    """The profile, the environment, a file with settings or an argument is wrong."""


class NotAuthenticated(CalotypeError):
    """The server does not know the caller: there is no token, or it has expired."""


class NotAllowed(CalotypeError):
    """The caller lacks the right, or the image is protected."""


class NotFound(CalotypeError):
    """There is no such image, or it is not visible to the caller."""


class Ambiguous(CalotypeError):
    """Several images have this name, or an id that begins so. The message lists them."""


class Unavailable(CalotypeError):
    """The server cannot be reached or has no time; the same request may succeed later."""


class Conflict(CalotypeError):
    """The image's status, another process or an existing file does not permit this."""


class OutOfSpace(CalotypeError):
    """A quota, a store or the local disk is full, or the image is larger than the server permits."""


class ChecksumMismatch(CalotypeError):
    """The bytes at the other end are not those that were sent."""


class Refused(CalotypeError):
    """The server refused the request for another reason, or failed while handling it."""


class NotSupported(Refused):
    """This server does not offer what was asked for."""


class ProtocolError(CalotypeError):
    """The server's answer is not that of an image service."""
