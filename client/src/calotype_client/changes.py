"""The fields of images that a client may set, as the documents and JSON patches of Images v2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from calotype_client.images import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFields:
    """Fields of an image. None, or no tags, means that a field is not set or not changed."""

    id: str | None = None
    name: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    visibility: str | None = None
    owner: str | None = None
    protected: bool | None = None
    os_hidden: bool | None = None
    min_disk: int | None = None
    min_ram: int | None = None
    tags: tuple[str, ...] | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the fields as a JSON document, with properties beside them."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "properties"}
        fields["tags"] = None if self.tags is None else list(self.tags)
        return {**self.properties, **{name: value for name, value in fields.items() if value is not None}}


def patch(image: Image, fields: ImageFields, removed: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the JSON patch that sets the fields, and removes the properties that the image has."""
    sets = [
        {"op": "replace" if name in image.document else "add", "path": _pointer(name), "value": value}
        for name, value in fields.document().items()
        if name not in image.document or image.document[name] != value
    ]
    removes = [{"op": "remove", "path": _pointer(name)} for name in removed if name in image.document]
    return [*sets, *removes]


def _pointer(name: str) -> str:
    """Return the JSON pointer (RFC 6901) of a key."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
