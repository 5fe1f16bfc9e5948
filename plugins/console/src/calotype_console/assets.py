"""The files that the pages load: one stylesheet and the scripts. All come from this service.

A page names each file with a part of its hash, so browsers may keep it for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import ClassVar

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".LICENSE": "text/plain"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, with its media type and a text that changes with its content."""

    body: bytes
    media_type: str
    version: str


@dataclass(frozen=True, slots=True)
class Assets:
    """The files by name, which all requests share."""

    KEY: ClassVar = "calotype.console.assets"
    files: Mapping[str, Asset]

    @classmethod
    def load(cls) -> Assets:
        """Read the files of this distribution."""
        found = {}
        for file in resources.files("calotype_console").joinpath("static").iterdir():
            suffix = file.name[file.name.rindex(".") :]
            if suffix in _TYPES:
                body = file.read_bytes()
                found[file.name] = Asset(body, _TYPES[suffix], hashlib.sha256(body).hexdigest()[:12])
        return cls(found)

    def path(self, name: str) -> str:
        """Return the path of the file for a page."""
        return f"/console/assets/{name}?v={self.files[name].version}"
