"""Conversions of image fields: those that all dialects share, and those that classic and v1 share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from calotype.api.http.meta_headers import encode, read_boolean, read_integer
from calotype.api.http.times import without_zone
from calotype.model.images import Image, Visibility
from calotype.model.states import Status

_SHARED = (
    "id",
    "name",
    "status",
    "owner",
    "protected",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "checksum",
)
_INTEGERS = ("min_disk", "min_ram")


def shared_fields(image: Image) -> dict[str, Any]:
    """Return the fields that every dialect shows with the same name and value."""
    return {name: getattr(image, name) for name in _SHARED}


def header_fields(image: Image) -> dict[str, Any]:
    """Return the fields that both classic and v1 show, with `properties`, as JSON values."""
    return {
        **shared_fields(image),
        "size": image.size or 0,
        "is_public": image.visibility is Visibility.PUBLIC,
        "created_at": without_zone(image.created_at),
        "updated_at": without_zone(image.updated_at),
        "deleted_at": without_zone(image.deleted_at),
        "deleted": image.status is Status.DELETED,
        "properties": dict(image.properties),
    }


def record_headers(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a document of classic or v1 as headers: booleans as `True` or `False`, null as `None`."""
    properties = fields["properties"]
    texts = {name: _on_one_line(value) for name, value in fields.items() if name != "properties"}
    return encode(texts, properties)


def read_fields(
    given: Mapping[str, str | None], texts: Iterable[str], not_public: Visibility
) -> dict[str, Any]:
    """Return the columns of an image that the metadata of a classic or v1 request sets.

    Args:
        given: the metadata as texts, by field name.
        texts: the names of the fields that are text.
        not_public: the visibility that a false `is_public` stands for.

    Raises:
        InvalidRequest: the text for an integer field is not an integer.
    """
    fields: dict[str, Any] = {name: given[name] for name in texts if name in given}
    if "is_public" in given:
        fields["visibility"] = Visibility.PUBLIC if read_boolean(given["is_public"] or "") else not_public
    if "protected" in given:
        fields["protected"] = read_boolean(given["protected"] or "")
    return fields | {name: read_integer(name, given[name] or "") for name in _INTEGERS if name in given}


def _on_one_line(value: object) -> str:
    return str(value).replace("\r", " ").replace("\n", " ")  # a status reason may have line breaks
