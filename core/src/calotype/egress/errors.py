"""What can keep a fetch from succeeding.

    EgressError
    ├── Forbidden     not a URL to fetch from: its form, its port, an address; nothing was sent
    ├── Unreachable   no such name, no connection, no valid certificate, too slow, broken off
    └── BadAnswer     an answer that cannot be used: encoded, one redirect too many
        └── BadStatus a status that says that there are no bytes

The texts reach clients. They are made of constants, of what the client itself has named, and of numbers:
never of an address that a name led to, and never of anything that a source has written.
"""

from __future__ import annotations

import http


class EgressError(Exception):
    """A fetch that did not succeed. The text names the source's host, `anonymous` leaves it out.

    `what` goes on after "the source ", as in "refuses the connection". `host` is the host that failed,
    which is another than in the URL after a redirect; it is empty where a URL could not be read.
    """

    def __init__(self, what: str, host: str = ""):
        super().__init__(f"the source at {host} {what}" if host else f"the source {what}")
        self.what = what
        self.host = host

    @property
    def anonymous(self) -> str:
        """The text for whoever need not know where the bytes lie."""
        return f"the source {self.what}"


class Forbidden(EgressError):
    """The URL is not one to fetch from; nothing was sent to its target."""

    def __init__(self, why: str, host: str = ""):
        super().__init__(f"is refused by the filter of this service: {why}", host)


class Unreachable(EgressError):
    """The source cannot be reached, is too slow, or broke off."""


class BadAnswer(EgressError):
    """The source answered, but not in a way that can be used."""


class BadStatus(BadAnswer):
    """The source answered with a status that has no bytes of the image; `retry_after` is in seconds."""

    def __init__(self, status: int, host: str = "", retry_after: int | None = None):
        known = {one.value: one.phrase for one in http.HTTPStatus}
        super().__init__(f"answers {status} {known.get(status, '')}".rstrip(), host)
        self.status = status
        self.retry_after = retry_after
