"""Read Upload-Metadata of tus 1.0: the fields of the image that an upload creates or completes.

The names of fields are those of Images v2. `property-NAME` sets a property. Programs in browsers send the
name of the file as `filename`, and sometimes further keys of their own, which are ignored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from calotype.api.http.meta_headers import read_boolean
from calotype.api.http.records import read_fields as read_shared_fields
from calotype.api.uploads.tus_headers import METADATA, TEXT_MAX, decode_base64
from calotype.config.messages import did_you_mean, not_one_of, quoted
from calotype.config.settings import Settings
from calotype.model.fields import ImageFields, InvalidRequest, RequestTooLarge, read_id
from calotype.model.images import Visibility

log = logging.getLogger(__name__)

PROPERTY = "property-"
_KEY = re.compile(r"[\x21-\x7e]+", re.ASCII)
#: The key that names an existing image, which gets the bytes.
IMAGE_ID = "image_id"

_TEXTS = ("name", "disk_format", "container_format", "owner")
_BOOLEANS = ("protected", "os_hidden")
#: Fields of a new image. An existing image keeps its own.
_FIELDS = frozenset({*_TEXTS, *_BOOLEANS, "id", "visibility", "min_disk", "min_ram", "tags"})
#: Keys that tus-js-client and Uppy send for any file.
_OF_BROWSERS = frozenset({"filename", "filetype", "type", "relativePath"})


def read_metadata(text: str) -> dict[str, str]:
    """Return the pairs of Upload-Metadata.

    Raises:
        InvalidRequest: a pair is malformed, occurs twice, or its value is not UTF-8 in Base64.
        RequestTooLarge: the header is too long.
    """
    if len(text) > TEXT_MAX:
        raise RequestTooLarge(f"{METADATA} is longer than {TEXT_MAX} characters.")
    given: dict[str, str] = {}
    for pair in text.split(",") if text.strip(" ") else ():
        key, _, encoded = pair.strip(" ").partition(" ")
        if not _KEY.fullmatch(key):
            raise InvalidRequest(f"{METADATA} needs a key in ASCII before each value, not {quoted(key)}.")
        if key in given:
            raise InvalidRequest(f"{METADATA} has the key {quoted(key)} twice.")
        try:
            given[key] = decode_base64(f"{METADATA}: {key}", encoded).decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"{METADATA}: the value of {quoted(key)} is not UTF-8.") from None
    return given


def read_new(given: Mapping[str, str], settings: Settings) -> ImageFields:
    """Return the fields of a new image.

    If the client sets no disk format, it is that of the file's name. The container format is `bare` unless
    the client sets another one.

    Raises:
        InvalidRequest: a value is invalid.
    """
    _log_unknown(given)
    file = given.get("filename") or given.get("name") or ""
    formats = {"disk_format": _format_of(file, settings), "container_format": "bare"}
    named = {"name": file} if file else {}
    fields = {key: value for key, value in given.items() if key in _FIELDS and value}
    return ImageFields(
        id=read_id(fields["id"]) if "id" in fields else None,
        fields=_read_fields({**named, **formats, **fields}),
        properties={
            key.removeprefix(PROPERTY): value for key, value in given.items() if key.startswith(PROPERTY)
        },
        tags=tuple(dict.fromkeys(fields["tags"].split(","))) if "tags" in fields else None,
        store=given.get("store") or None,
    )


def read_existing(given: Mapping[str, str]) -> ImageFields:
    """Return the fields of an upload to an existing image, which can only name the store.

    Raises:
        InvalidRequest: the client sets another field. Only the name is ignored, because browsers send it.
    """
    refused = sorted(key for key in given if key in _FIELDS - {"name"} or key.startswith(PROPERTY))
    if refused:
        raise InvalidRequest(
            f"{METADATA}: {quoted(refused[0])} cannot be set with {IMAGE_ID}: change the image first."
        )
    return ImageFields(store=given.get("store") or None)


def _read_fields(texts: Mapping[str, str | None]) -> dict[str, Any]:
    for name in _BOOLEANS:
        if (text := texts.get(name) or "false").lower() not in ("true", "false"):
            raise InvalidRequest(f"Invalid {name}: it must be true or false, not {quoted(text)}.")
    fields = read_shared_fields(texts, _TEXTS, Visibility.SHARED)
    if "os_hidden" in texts:
        fields["os_hidden"] = read_boolean(texts["os_hidden"] or "")
    if visibility := texts.get("visibility"):
        if visibility not in list(Visibility):
            raise InvalidRequest(not_one_of("Invalid visibility", visibility, sorted(Visibility)))
        fields["visibility"] = Visibility(visibility)
    return fields


def _format_of(file: str, settings: Settings) -> str | None:
    """Return the disk format that a file's name ends with, such as qcow2 for `debian.qcow2`."""
    ending = file.rpartition(".")[2].lower()
    return ending if ending in settings.disk_formats else None


def _log_unknown(given: Mapping[str, str]) -> None:
    known = _FIELDS | _OF_BROWSERS | {"store"}
    if unknown := sorted(key for key in given.keys() - known if not key.startswith(PROPERTY)):
        name = unknown[0][:80]
        log.info("%s: the key %r is unknown and ignored%s", METADATA, name, did_you_mean(name, known))
