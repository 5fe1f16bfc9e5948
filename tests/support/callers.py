"""Callers with static tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from calotype.identity.token_file import TokenFile
from tests.support.answers import Answer
from tests.support.server import Server

Headers = Mapping[str, str] | Iterable[tuple[str, str | bytes]]
Body = bytes | Iterable[bytes]


class Tokens(TokenFile):
    """A file of tokens, and the settings of a server that uses it."""

    def __init__(self, folder: Path):
        super().__init__(folder / "tokens.json")

    @property
    def settings(self) -> dict[str, str]:
        """The settings for `[app:main]` of a server that uses these tokens."""
        return {"calotype.identity": "tokens", "calotype.tokens_file": str(self.path)}


class Caller:
    """A client of a server that sends its token with each request, if it has one."""

    server: Server
    token: str | None

    def request_as(
        self, method: str, path: str, headers: Headers | None = None, body: Body | None = None
    ) -> Answer:
        """Send a request with the token, unless the headers have another one."""
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())
        if self.token is not None and not any(name.lower() == "x-auth-token" for name, _ in fields):
            fields.append(("X-Auth-Token", self.token))
        return self.server.request(method, path, fields, body)
