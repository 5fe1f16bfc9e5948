"""The versions that are implemented, and the document by which clients find them.

The document is made for each request, for its links are absolute: they begin with
`calotype.public_endpoint`, or with the scheme and host that the client itself used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator

from calotype.api.http.request import Request

VERSIONS = "calotype.versions"


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its id (`v2.15`), the segment it hangs under (`v2`), and what may be expected of it."""

    id: str
    segment: str
    status: str = "SUPPORTED"


def base_url(request: Request) -> str:
    """Where clients find the service, without a slash at the end."""
    return request.settings.public_endpoint or request.host_url


def version_document(request: Request) -> list[dict[str, Any]]:
    """The implemented versions, newest first."""
    base = base_url(request)
    return [
        {
            "id": version.id,
            "status": version.status,
            "links": [{"rel": "self", "href": f"{base}/{version.segment}/"}],
        }
        for version in sorted(request.registry[VERSIONS], key=_order, reverse=True)
    ]


def _order(version: Version) -> list[int]:
    return [int(number) for number in version.id.removeprefix("v").split(".")]


def includeme(config: Configurator) -> None:
    """Begin without any version: each dialect adds its own to `config.registry[VERSIONS]`."""
    config.registry[VERSIONS] = []
