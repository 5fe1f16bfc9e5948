"""The codec of the classic dialect: read headers into fields, and write images as headers and JSON.

The dialect is that of OpenStack's earliest image service. Its `type` is derived from the disk and container
formats, and null is written as `None` in headers. Fields that only the server sets are ignored, and so are
unknown fields.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from calotype.api.http import meta_headers
from calotype.api.http.meta_headers import read_integer
from calotype.api.http.operations import STRING
from calotype.api.http.records import header_fields, read_fields, record_headers
from calotype.api.http.request import Request
from calotype.config.messages import did_you_mean, not_one_of
from calotype.model.fields import ImageFields, InvalidRequest, read_id
from calotype.model.images import Image, Visibility

log = logging.getLogger(__name__)

#: The disk and container format for each classic `type`.
_FORMATS = {
    "kernel": {"disk_format": "aki", "container_format": "aki"},
    "ramdisk": {"disk_format": "ari", "container_format": "ari"},
    "raw": {"disk_format": "raw", "container_format": "bare"},
    "machine": {"disk_format": "ami", "container_format": "ami"},
}
_INTEGERS = ("min_disk", "min_ram")
_TEXTS = ("name", "disk_format", "container_format")
#: Fields that a client can set. It can also send the fields in `_IGNORED`, which have no effect.
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
#: The headers of a request by name, for the description of the API.
HEADERS = {f"{meta_headers.META}{name}": STRING for name in sorted(_SETTABLE)}
_TYPES = {"aki": "kernel", "ari": "ramdisk", "raw": "raw"}


def read_draft(request: Request) -> ImageFields:
    """Return the fields in the headers; raises InvalidRequest for a bad value.

    Unknown names are ignored, and the first of them is logged.
    """
    meta = meta_headers.decode(request.headers.items())
    given = meta.fields
    if unknown := sorted(given.keys() - _SETTABLE - _IGNORED):
        name = unknown[0][:80]
        hint = did_you_mean(name, _SETTABLE)
        log.info(
            "request %s: the header %s%s is unknown and ignored%s", request.id, meta_headers.META, name, hint
        )
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
    texts = {name: value or None for name, value in given.items()}
    fields = read_fields(texts, _TEXTS, Visibility.PRIVATE)
    if given.get("type") in _FORMATS:
        return {**fields, **_FORMATS[given["type"]]}
    if given.get("type"):
        raise InvalidRequest(not_one_of("Invalid type", given["type"], sorted(_FORMATS)))
    return fields


def image_brief(image: Image) -> dict[str, Any]:
    """Return an image's entry in the brief list."""
    return {"id": image.id, "name": image.name, "type": _type(image), "size": image.size or 0}


def image_detail(image: Image) -> dict[str, Any]:
    """Return the complete record as JSON values, without the location."""
    document = {
        **image_brief(image),
        "store": image.store,
        "status_reason": image.status_reason,
        **header_fields(image),
    }
    if image.updated_at == image.created_at:
        document["updated_at"] = None
    return document


def image_headers(image: Image) -> list[tuple[str, str]]:
    """Return the record as response headers."""
    return record_headers(image_detail(image))


def _type(image: Image) -> str | None:
    if image.disk_format is None and image.container_format is None:
        return None
    return _TYPES.get(image.disk_format or "", "machine")
