"""The forms of the classic dialect: headers are read into fields, images are written as headers and JSON.

As in the first API, `type` is a view of disk and container format, null is `None` in headers, and fields that
the server sets are ignored, like unknown ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from calotype.api.http import headers
from calotype.api.http.headers import header_text, read_boolean, read_integer
from calotype.api.http.request import Request
from calotype.api.http.times import without_zone
from calotype.config.messages import did_you_mean, not_one_of
from calotype.model.changes import ImageFields, InvalidRequest, read_id
from calotype.model.images import Image, Status, Visibility

log = logging.getLogger(__name__)

#: Classic `type` -> disk and container format.
_FORMATS = {
    "kernel": {"disk_format": "aki", "container_format": "aki"},
    "ramdisk": {"disk_format": "ari", "container_format": "ari"},
    "raw": {"disk_format": "raw", "container_format": "bare"},
    "machine": {"disk_format": "ami", "container_format": "ami"},
}
_INTEGERS = ("min_disk", "min_ram")
_TEXTS = ("name", "disk_format", "container_format")
#: Fields that a client can set; below, fields that it may send back and that are ignored.
_SETTABLE = frozenset({"id", "type", "is_public", "protected", "size", "store", "location"}).union(
    _INTEGERS, _TEXTS
)
_IGNORED = frozenset(
    {
        "status",
        "status_reason",
        "checksum",
        "owner",
        "created_at",
        "updated_at",
        "deleted_at",
        "deleted",
        "virtual_size",
        "uri",
    }
)
_TYPES = {"aki": "kernel", "ari": "ramdisk", "raw": "raw"}


def read_draft(request: Request) -> ImageFields:
    """Read the fields from the headers, and log an unknown name; raises InvalidRequest for a bad value."""
    meta = headers.decode(request.headers.items())
    given = meta.fields
    if unknown := sorted(given.keys() - _SETTABLE - _IGNORED):
        name = unknown[0][:80]
        hint = did_you_mean(name, _SETTABLE)
        log.info("request %s: the header %s%s is unknown and ignored%s", request.id, headers.META, name, hint)
    return ImageFields(
        id=read_id(given["id"]) if given.get("id") is not None else None,
        fields=_read_fields(given),
        properties=meta.properties,
        size=read_integer("size", given["size"]) if "size" in given else None,
        store=given.get("store") or None,
        location=given.get("location"),
        from_headers=True,
    )


def _read_fields(given: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: given[name] or None for name in _TEXTS if name in given}
    if given.get("type") in _FORMATS:
        fields |= _FORMATS[given["type"]]
    elif given.get("type"):
        raise InvalidRequest(not_one_of("Invalid type", given["type"], sorted(_FORMATS)))
    if "is_public" in given:
        public = read_boolean(given["is_public"])
        fields["visibility"] = Visibility.PUBLIC if public else Visibility.PRIVATE
    if "protected" in given:
        fields["protected"] = read_boolean(given["protected"])
    fields |= {name: read_integer(name, given[name]) for name in _INTEGERS if name in given}
    return fields


def image_brief(image: Image) -> dict[str, Any]:
    """Return an entry of the brief list."""
    return {"id": image.id, "name": image.name, "type": _type(image), "size": image.size or 0}


def image_detail(image: Image) -> dict[str, Any]:
    """Return the record as JSON values, without the location."""
    return {
        **image_brief(image),
        "store": image.store,
        "status": str(image.status),
        "status_reason": image.status_reason,
        "is_public": image.visibility is Visibility.PUBLIC,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "checksum": image.checksum,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "owner": image.owner,
        "protected": image.protected,
        "created_at": without_zone(image.created_at),
        "updated_at": without_zone(image.updated_at) if image.updated_at != image.created_at else None,
        "deleted_at": without_zone(image.deleted_at),
        "deleted": image.status is Status.DELETED,
        "properties": dict(image.properties),
    }


def image_headers(image: Image) -> list[tuple[str, str]]:
    """Return the record as response headers: `True` or `False`, decimal numbers, `None` for null."""
    fields = image_detail(image)
    properties = fields.pop("properties")
    return headers.encode({name: header_text(value) for name, value in fields.items()}, properties)


def _type(image: Image) -> str | None:
    if image.disk_format is None and image.container_format is None:
        return None
    return _TYPES.get(image.disk_format or "", "machine")
