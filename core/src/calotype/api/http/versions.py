"""The implemented versions of the API, and the document that shows them to clients.

The document is made for each request, because its links are absolute: they begin with
`calotype.public_endpoint`, or with the scheme and the host of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator

from calotype.api.http.operations import STRING, list_of, properties
from calotype.api.http.request import Request

VERSIONS = "calotype.versions"
#: The schema of a document with the versions.
VERSION_LIST: Mapping[str, Any] = {
    "type": "object",
    "required": ["versions"],
    "properties": {
        "versions": list_of(
            properties(id=STRING, status=STRING, links=list_of(properties(rel=STRING, href=STRING)))
        )
    },
}


@dataclass(frozen=True, slots=True)
class Version:
    """A version: its id (`v2.15`), its path segment (`v2`), and its status."""

    id: str
    segment: str
    status: str = "SUPPORTED"


def base_url(request: Request) -> str:
    """Return the URL of the service for clients, without a slash at the end."""
    return request.settings.public_endpoint or request.host_url


def version_document(request: Request) -> list[dict[str, Any]]:
    """Return the implemented versions, newest first."""
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
    """Create the empty list `config.registry[VERSIONS]`, to which each dialect adds its versions."""
    config.registry[VERSIONS] = []
