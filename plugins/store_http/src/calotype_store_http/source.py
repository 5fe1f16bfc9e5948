"""A source as a location describes it: its URL, and validators that show a change of its bytes."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from calotype.egress import URL_MAX, Answer, BadAnswer, parse

#: A strong validator; a weak one (W/"...") does not promise the same bytes.
ETAG = r'^"[\x21\x23-\x7e]{1,200}"$'
#: The only form of a date that HTTP servers write today.
DATE = r"^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$"
CONTENT_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,18})-[0-9]{1,18}/(?P<size>[0-9]{1,18}|\*)", re.ASCII)
LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class Source(BaseModel):
    """The content of a location, which is JSON. Values that the source does not send are unset.

    `size` is in bytes, `etag` is a strong ETag with its quotes, and `modified` is the Last-Modified header.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    url: str = Field(max_length=URL_MAX, pattern=r"^[\x21-\x7e]+$")
    size: int | None = Field(None, ge=0, lt=1 << 63)
    etag: str | None = Field(None, pattern=ETAG)
    modified: str | None = Field(None, pattern=DATE)

    def written(self) -> str:
        """Return the location's text."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def read(cls, location: str) -> Source:
        """Parse a location's text, as strictly as if a client had sent it; raises ValueError."""
        source = cls.model_validate_json(location)
        if source.written() != location:
            raise ValueError("not in the form that `written` returns")
        return source

    @property
    def pinned(self) -> bool:
        """True if a validator can show that the source is unchanged, so that a download can resume."""
        return self.etag is not None or self.modified is not None

    def conditions(self) -> dict[str, str]:
        """Return headers that ask a server to refuse if the source has changed. Not all servers obey them."""
        if self.etag is not None:
            return {"If-Match": self.etag}
        return {"If-Unmodified-Since": self.modified} if self.modified is not None else {}

    def is_still(self, now: Source) -> bool:
        """Return whether the source is unchanged. A missing validator is a change, a missing size is not."""
        if self.size is not None and now.size is not None and self.size != now.size:
            return False
        if self.etag is not None:
            return self.etag == now.etag
        return self.modified is None or self.modified == now.modified


def describe(url: str, answer: Answer) -> Source:
    """Return the source that an answer with status 200 or 206 describes.

    Raises:
        BadAnswer: the length or the range of the answer is invalid.
    """
    return Source(
        url=parse(url).url,
        size=_size(answer),
        etag=_matching(ETAG, answer.headers.get("ETag")),
        modified=_matching(DATE, answer.headers.get("Last-Modified")),
    )


def first_byte(answer: Answer) -> int:
    """Return the position in the blob at which the answer's body begins; raises BadAnswer."""
    return int(_content_range(answer)["first"]) if answer.status == 206 else 0


def _size(answer: Answer) -> int | None:
    if answer.status == 206:
        size = _content_range(answer)["size"]
        return None if size == "*" else int(size)
    if answer.endless or "Transfer-Encoding" in answer.headers:
        return None
    length = answer.headers.get("Content-Length", "")
    if not LENGTH.fullmatch(length):
        raise BadAnswer("answers with a missing or malformed Content-Length", answer.host)
    return int(length)


def _content_range(answer: Answer) -> re.Match[str]:
    match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None:
        raise BadAnswer("answers 206 with a missing or malformed Content-Range", answer.host)
    return match


def _matching(pattern: str, value: str | None) -> str | None:
    return value if value is not None and re.search(pattern, value, re.ASCII) else None
