"""What can keep a fetch from succeeding.

    EgressError
    ├── Forbidden     not a URL to fetch from: its form, its port, an address; nothing was sent
    ├── Unreachable   no name, no connection, no valid certificate, too slow, broken off
    └── BadAnswer     an answer that cannot be used: encoded, without an end, one redirect too many

Each has one constant text, the same for every reason, for the text reaches clients.
"""


class EgressError(Exception):
    """A fetch that did not succeed; the text is the class's own and names no address."""

    text = ""

    def __init__(self) -> None:
        super().__init__(self.text)


class Forbidden(EgressError):
    """The URL is not one to fetch from; nothing was sent to its target."""

    text = "External sources are not supported: this location is not one that may be fetched"


class Unreachable(EgressError):
    """The source cannot be reached, is too slow, or broke off."""

    text = "the source cannot be reached now, or broke off"


class BadAnswer(EgressError):
    """The source answered, but not in a way that can be used."""

    text = "the source answers in a way that cannot be used"
