"""The codec of v1: read headers or JSON into fields, and write images as headers and JSON.

Unknown headers are refused, and fields that are null are omitted from responses. Only python-glanceclient
percent-encodes the names and values of its headers, so only the headers of its requests are decoded.
"""

from __future__ import annotations

import datetime
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from calotype.api.http import meta_headers, times
from calotype.api.http.meta_headers import META, PROPERTY, read_integer
from calotype.api.http.operations import STRING
from calotype.api.http.records import header_fields, read_fields, record_headers
from calotype.api.http.request import Request
from calotype.config.messages import did_you_mean
from calotype.model.fields import ImageFields, InvalidRequest, read_id
from calotype.model.images import Image, Visibility

COPY_FROM = "x-glance-api-copy-from"
PURGE = "x-glance-registry-purge-props"

_BRIEF = ("id", "name", "size", "disk_format", "container_format", "checksum")
_TEXTS = ("name", "disk_format", "container_format", "owner")
_TIMES = ("created_at", "updated_at", "deleted_at")
#: Headers that are accepted and ignored, because the server sets these fields.
_IGNORED = frozenset({"deleted", "copy_from", "uri", "status", "status_reason", "virtual_size", *_TIMES})
_KNOWN = _IGNORED | {
    *_TEXTS,
    "id",
    "size",
    "checksum",
    "is_public",
    "protected",
    "location",
    "store",
    "min_disk",
    "min_ram",
}
#: The headers of a request by name, for the description of the API.
HEADERS = dict.fromkeys((*(f"{META}{name}" for name in sorted(_KNOWN)), COPY_FROM, PURGE), STRING)
_AMAZON = ("aki", "ari", "ami")
_TIME = re.compile(
    r"(\d{4})-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def read_draft(request: Request) -> ImageFields:
    """Return the fields in the headers; raises InvalidRequest for an unknown header or a bad value."""
    meta = meta_headers.decode(_given(request))
    unknown = sorted(set(meta.fields) - _KNOWN)
    if unknown:
        name = unknown[0][:80]
        hint = did_you_mean(name, _KNOWN - _IGNORED)
        raise InvalidRequest(f"Bad header: {META}{name}{hint}; metadata of your own is {PROPERTY}NAME.")
    given = {name: value or None for name, value in meta.fields.items()}
    properties = {name: value for name, value in meta.properties.items() if value}
    empty = frozenset(meta.properties) - frozenset(properties)
    return replace(_draft(given, properties, empty), from_headers=True)


def read_document_draft(document: Any) -> ImageFields:
    """Return the fields in a JSON document, with or without the wrapper `image`; unknown keys are ignored."""
    values = document.get("image", document) if isinstance(document, dict) else None
    if not isinstance(values, dict):
        raise InvalidRequest("The document is not an object.")
    given = {name: _as_text(value) for name, value in values.items() if name in _KNOWN}
    properties = values.get("properties")
    properties = {} if properties is None else properties
    if not isinstance(properties, dict):
        raise InvalidRequest("properties is not an object.")
    return _draft(
        given, {str(name): _as_text(value) or "" for name, value in properties.items()}, frozenset()
    )


def with_defaults(draft: ImageFields, image: Image | None, *, is_admin: bool) -> ImageFields:
    """Return the fields with the defaults of v1. An owner is dropped unless the caller is an administrator.

    A client of v1 can only choose between public and not public. A new image that is not public is shared. An
    existing private or community image keeps its visibility unless the client makes it public.
    """
    fields = dict(draft.fields)
    if image is None:
        fields.setdefault("visibility", Visibility.SHARED)
    elif image.visibility is not Visibility.PUBLIC and fields.get("visibility") is Visibility.SHARED:
        del fields["visibility"]
    if not is_admin:
        fields.pop("owner", None)
    return replace(draft, fields=fields)


def copy_source(request: Request) -> str | None:
    """Return the URL in the copy-from header, or None if there is no such header."""
    text = request.headers.get(COPY_FROM)
    return urllib.parse.unquote(text) if text and _percent_encodes(request) else text


def _given(request: Request) -> Iterator[tuple[str, str]]:
    decode = _percent_encodes(request)
    for name, value in request.headers.items():
        lowered = name.lower()
        if decode and lowered.startswith(META):
            # WSGI passes the bytes as latin-1.
            yield (
                urllib.parse.unquote(lowered, encoding="latin-1"),
                urllib.parse.unquote(value, encoding="latin-1"),
            )
        else:
            yield name, value


def _percent_encodes(request: Request) -> bool:
    return (request.user_agent or "").startswith("python-glanceclient")


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _draft(
    given: Mapping[str, str | None], properties: dict[str, str], dropped: frozenset[str]
) -> ImageFields:
    for name in _TIMES:
        if name in given:
            read_time(given[name] or "")
    if given.get("virtual_size") not in (None, "None"):
        _integer(given, "virtual_size")
    image_id, size = given.get("id"), _integer(given, "size")
    checksum = given.get("checksum")
    if checksum is not None and len(checksum) > 32:
        raise InvalidRequest("Invalid checksum: it is longer than 32 characters.")
    return ImageFields(
        id=read_id(image_id) if image_id is not None else None,
        fields=_pair_amazon(read_fields(given, _TEXTS, Visibility.SHARED)),
        properties=properties,
        dropped=dropped,
        size=size,
        digests={"md5": checksum.lower()} if checksum else {},
        store=given.get("store"),
        location=given.get("location") if given.get("location") or "location" not in given else "",
    )


def _integer(given: Mapping[str, str | None], name: str) -> int | None:
    return read_integer(name, given[name] or "") if name in given else None


def _pair_amazon(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields, with both formats set if only one is set and it is aki, ari or ami.

    Raises:
        InvalidRequest: one format is aki, ari or ami, and the other format differs from it.
    """
    disk, container = fields.get("disk_format"), fields.get("container_format")
    if disk in _AMAZON and "container_format" not in fields:
        return {**fields, "container_format": disk}
    if container in _AMAZON and "disk_format" not in fields:
        return {**fields, "disk_format": container}
    if disk != container and {disk, container} & set(_AMAZON) and None not in (disk, container):
        raise InvalidRequest(
            f"Invalid mix of disk and container formats: '{disk}' and '{container}'. "
            "If one of them is aki, ari or ami, both must be the same."
        )
    return fields


def read_time(text: str) -> datetime.datetime:
    """Return an ISO 8601 date or time in UTC; raises InvalidRequest, also for years before 1900."""
    match = _TIME.fullmatch(text)
    try:
        if match is None or int(match[1]) < 1900:
            raise ValueError
        return times.read_time(text)
    except ValueError:
        raise InvalidRequest(
            "Invalid time format: it must be an ISO 8601 time, such as 2026-01-31T12:00:00Z."
        ) from None


def image_document(image: Image) -> dict[str, Any]:
    """Return the record as JSON values, without location and store."""
    reason = {} if image.status_reason is None else {"status_reason": image.status_reason}
    return {**header_fields(image), "virtual_size": image.virtual_size, **reason}


def image_brief(image: Image) -> dict[str, Any]:
    """Return an image's entry in the brief list."""
    document = image_document(image)
    return {name: document[name] for name in _BRIEF}


def image_headers(image: Image) -> list[tuple[str, str]]:
    """Return the record as response headers, without fields that are null."""
    return record_headers({name: value for name, value in image_document(image).items() if value is not None})
