"""Records that a server describes as JSON documents: images, members, stores and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calotype_client.errors import ProtocolError

#: The keys of an image's document that are not properties.
BASE_FIELDS = frozenset(
    {
        "id",
        "name",
        "status",
        "size",
        "virtual_size",
        "disk_format",
        "container_format",
        "visibility",
        "owner",
        "protected",
        "os_hidden",
        "min_disk",
        "min_ram",
        "tags",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "deleted_at",
        "self",
        "file",
        "schema",
        "direct_url",
        "locations",
        "stores",
        "status_reason",
    }
)
#: The statuses of images, in Calotype and in Glance.
STATUSES = (
    *("queued", "saving", "uploading", "importing", "active", "deactivated"),
    *("killed", "deleted", "pending_delete"),
)
#: Properties by which a server reports about imports.
_OF_THE_SERVER = "os_glance_"


@dataclass(frozen=True, slots=True)
class Image:
    """An image as its server described it. `document` is the whole description."""

    id: str
    name: str | None
    status: str
    size: int | None
    disk_format: str | None
    container_format: str | None
    visibility: str
    owner: str | None
    hash_algorithm: str | None
    hash_value: str | None
    tags: tuple[str, ...]
    stores: tuple[str, ...]
    status_reason: str | None
    document: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: object) -> Image:
        """Return the image that the JSON document describes; raises ProtocolError."""
        found = _object(document, "an image", ("id", "status"))
        size = found.get("size")
        return cls(
            id=str(found["id"]),
            name=found.get("name"),
            status=str(found["status"]),
            size=size if isinstance(size, int) else None,
            disk_format=found.get("disk_format"),
            container_format=found.get("container_format"),
            visibility=str(found.get("visibility", "")),
            owner=found.get("owner"),
            hash_algorithm=found.get("os_hash_algo"),
            hash_value=found.get("os_hash_value"),
            tags=tuple(found.get("tags") or ()),
            stores=tuple(filter(None, str(found.get("stores") or "").split(","))),
            status_reason=found.get("status_reason"),
            document=found,
        )

    @property
    def properties(self) -> dict[str, Any]:
        """Return the properties that clients attached to the image."""
        return {
            name: value
            for name, value in self.document.items()
            if name not in BASE_FIELDS and not name.startswith(_OF_THE_SERVER)
        }

    @property
    def label(self) -> str:
        """Return the name with the beginning of the id, for messages."""
        return f"{self.name} ({self.id[:8]})" if self.name else self.id


@dataclass(frozen=True, slots=True)
class Member:
    """A project that an image is shared with. The status is `pending`, `accepted` or `rejected`."""

    project: str
    status: str
    document: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: object) -> Member:
        """Return the member that the JSON document describes; raises ProtocolError."""
        found = _object(document, "a member", ("member_id", "status"))
        return cls(str(found["member_id"]), str(found["status"]), found)


@dataclass(frozen=True, slots=True)
class Store:
    """A store of the server, into which images can be put."""

    id: str
    description: str | None
    is_default: bool
    is_read_only: bool
    document: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: object) -> Store:
        """Return the store that the JSON document describes; raises ProtocolError."""
        found = _object(document, "a store", ("id",))
        return cls(
            str(found["id"]),
            found.get("description"),
            str(found.get("default", "")).lower() == "true",
            str(found.get("read-only", "")).lower() == "true",
            found,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """An import or a copy that the server carries out. The status ends as `success` or `failure`."""

    id: str
    status: str
    message: str | None
    document: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: object) -> Task:
        """Return the task that the JSON document describes; raises ProtocolError."""
        found = _object(document, "a task", ("id", "status"))
        return cls(str(found["id"]), str(found["status"]), found.get("message") or None, found)


def _object(document: object, kind: str, required: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(document, dict) or any(name not in document for name in required):
        raise ProtocolError(
            f"The server did not answer with {kind}.", advice="Is the URL that of an image service?"
        )
    return document


def listed(document: object, key: str) -> list[Any]:
    """Return the list below the key of a JSON document; raises ProtocolError."""
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise ProtocolError(
            f"The server did not answer with a list of {key}.", advice="Is the URL that of an image service?"
        )
    return found
