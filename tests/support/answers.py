"""Responses, as a client reads them."""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from email.message import Message
from typing import Any

META = "x-image-meta-"


@dataclass(frozen=True)
class Answer:
    """A response. Header names are case-insensitive."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """Return the parsed JSON body. Its Content-Type must be JSON."""
        assert self.headers.get_content_type() == "application/json", (self.status, self.text[:300])
        return json.loads(self.body)

    @property
    def image(self) -> dict[str, Any]:
        """Return the record in the response to a successful POST or PUT."""
        assert self.status == 200, (self.status, self.text[:300])
        return self.json["image"]

    @property
    def meta(self) -> dict[str, str]:
        """Return the meta headers without their prefix, with names in lower case and values as UTF-8."""
        return {
            name.lower().removeprefix(META): value.encode("latin-1").decode()
            for name, value in self.headers.items()
            if name.lower().startswith(META)
        }


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """Read a response to its end."""
    return Answer(response.status, response.headers, response.read())


def statuses(spoken: bytes) -> list[int]:
    """Return the status of each response in the bytes that a connection received."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([1-5][0-9]{2}) ", spoken)]
