"""The errors of a fetch.

    EgressError
    ├── Forbidden     the URL's form, its port or an address is not allowed; nothing was sent
    ├── Unreachable   no such name, no connection, no valid certificate, too slow, cut short
    └── BadAnswer     a response that cannot be used: an encoded body, too many redirects
        └── BadStatus a status that means that the source has no bytes

Clients can read the texts. They consist of constants, numbers, and names from the client's own request. They
never contain an address that a name resolved to, or anything that a source sent.
"""

from __future__ import annotations

import http.client


class EgressError(Exception):
    """A fetch failed. The text names the source's host; `anonymous` leaves it out.

    `what` continues the sentence "the source ...", as in "refuses the connection". `host` is the host that
    failed. After a redirect, it can differ from the host in the client's URL. It is empty if a URL could not
    be parsed.
    """

    def __init__(self, what: str, host: str = ""):
        super().__init__(f"the source at {host} {what}" if host else f"the source {what}")
        self.what = what
        self.host = host

    @property
    def anonymous(self) -> str:
        """The text for clients that must not learn the source's host."""
        return f"the source {self.what}"


class Forbidden(EgressError):
    """Fetching from the URL is not allowed; nothing was sent to its target."""

    def __init__(self, why: str, host: str = ""):
        super().__init__(f"is refused by the filter of this service: {why}", host)


class Unreachable(EgressError):
    """The source cannot be reached, is too slow, or ends its response too early."""


class BadAnswer(EgressError):
    """The source sent a response that cannot be used."""


class BadStatus(BadAnswer):
    """The source answered with a status that means that it has no bytes. `retry_after` is in seconds."""

    def __init__(self, status: int, host: str = "", retry_after: int | None = None):
        super().__init__(f"answers {status} {http.client.responses.get(status, '')}".rstrip(), host)
        self.status = status
        self.retry_after = retry_after
