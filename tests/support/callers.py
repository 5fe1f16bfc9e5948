"""Callers that a server knows by static tokens."""

from __future__ import annotations

from pathlib import Path

from calotype.identity.token_file import TokenFile


class Tokens(TokenFile):
    """A file of tokens, and the settings of a server that knows its callers by it."""

    def __init__(self, folder: Path):
        super().__init__(folder / "tokens.json")

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings, for `[app:main]`."""
        return {"calotype.identity": "tokens", "calotype.tokens_file": str(self.path)}
