"""What a server answered, read off the wire."""

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
    """A response as its bytes said it; header names are looked up in any case."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON; it must say that it is."""
        assert self.headers.get_content_type() == "application/json", (self.status, self.text[:300])
        return json.loads(self.body)

    @property
    def image(self) -> dict[str, Any]:
        """The record in the body of a POST or PUT that went well."""
        assert self.status == 200, (self.status, self.text[:300])
        return self.json["image"]

    @property
    def meta(self) -> dict[str, str]:
        """The meta headers without their prefix, names in lower case, values as UTF-8."""
        return {
            name.lower().removeprefix(META): value.encode("latin-1").decode()
            for name, value in self.headers.items()
            if name.lower().startswith(META)
        }


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """The whole of a response."""
    return Answer(response.status, response.headers, response.read())


def statuses(spoken: bytes) -> list[int]:
    """The status of each response in what a raw connection gave."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([1-5][0-9]{2}) ", spoken)]
