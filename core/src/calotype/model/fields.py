"""The fields that a client asks to set, and the rules that they must keep, for all dialects.

A dialect only translates its own syntax into ImageFields. The rules about the names of properties are in
`calotype.model.property_names`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from calotype.config.messages import quoted
from calotype.config.settings import Settings
from calotype.model.images import Image
from calotype.model.property_names import by_folded_name, fold, is_reserved, omitted_from_headers

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_PROPERTY_NAME = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
# Control characters would get into headers, logs and terminals, and surrogates cannot be encoded.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LENGTHS = {"name": 255, "owner": 255}
_INTEGERS = ("min_disk", "min_ram")
_INTEGER_MAX = 2**31 - 1
_SIZE_MAX = 2**63 - 1


class InvalidRequest(Exception):
    """The request breaks a rule. The message explains it to the client."""


class RequestTooLarge(InvalidRequest):
    """The request asks for more than a limit allows."""


class ReservedName(InvalidRequest):
    """A property has a name that clients take for a field of the image."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Attribute '{name[:80]}' is reserved: no property can have that name.")


@dataclass(frozen=True, slots=True)
class ImageFields:
    """The fields that a client asks to set. A field that it does not name stays unchanged.

    Args:
        fields: New values of the image's columns, such as name, visibility and disk_format.
        properties: New properties. They are added to the image's properties. If `replace_properties` is set,
            they replace them.
        size: The declared size of the upload, in bytes.
        digests: The declared digests of the upload, in hex, by algorithm.
        tags: The new set of all tags of the image.
        dropped: The names of properties to remove.
        store: The name of the store for the bytes.
        location: The URI of an external location.
        from_headers: True if the properties come from headers, which cannot carry all names and values
            exactly (see `calotype.model.property_names`). In this case, `replace_properties` keeps the
            properties that headers do not show, because the client cannot know them.
    """

    id: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] | None = None
    dropped: frozenset[str] = frozenset()
    replace_properties: bool = False
    store: str | None = None
    location: str | None = None
    from_headers: bool = False


def canonical_id(text: str) -> str | None:
    """Return the canonical form of an image id, lower-case and hyphenated; None if the text is not an id.

    `uuid.UUID` would also accept braces, URNs and digits of other scripts.
    """
    lowered = text.lower() if text.isascii() else text
    return lowered if _ID.fullmatch(lowered) else None


def read_id(text: str) -> str:
    """Return the canonical form of an id that a client gave.

    Raises:
        InvalidRequest: the text is not an id.
    """
    image_id = canonical_id(text)
    if image_id is None:
        raise InvalidRequest("Invalid image id format: an id is a UUID, lower-case and with hyphens.")
    return image_id


def new_id() -> str:
    """Return a new image id."""
    return str(uuid.uuid4())


def check_size(size: int | None, settings: Settings) -> None:
    """Raise RequestTooLarge if an image may not have `size` bytes. Accept an unknown size (None)."""
    if size is not None and size > settings.image_size_cap:
        raise RequestTooLarge(f"Denying attempt to upload image larger than {settings.image_size_cap} bytes.")


def check_fields(asked: ImageFields, settings: Settings) -> None:
    """Check that the fields keep all rules that do not depend on the image.

    Raises:
        InvalidRequest, RequestTooLarge: the fields break a rule.
    """
    # Check the counts first, because they limit the work of the other checks.
    if len(asked.tags or ()) > settings.max_tags:
        raise RequestTooLarge(
            f"The limit has been exceeded on the number of allowed image tags: {settings.max_tags}."
        )
    _check_number_of_properties(asked.properties, settings)
    for name, value in asked.fields.items():
        _check_field(name, value, settings)
    if asked.size is not None:
        if not 0 <= asked.size <= _SIZE_MAX:
            raise InvalidRequest(f"Invalid size: {asked.size} is not between 0 and {_SIZE_MAX}.")
        check_size(asked.size, settings)
    for algorithm, digest in asked.digests.items():
        _check_text(f"{algorithm} digest", digest, 128)
    for name, value in asked.properties.items():
        _check_property(name, value, settings)
    for tag in asked.tags or ():
        check_tag(tag)


def check_formats(asked: ImageFields, image: Image | None = None) -> None:
    """Check that the formats of an image that gets bytes are known, which some dialects require.

    Raises:
        InvalidRequest: a format is set neither by the fields nor in the image.
    """
    for field_name, label in (("disk_format", "Disk"), ("container_format", "Container")):
        before = getattr(image, field_name) if image is not None else None
        if asked.fields.get(field_name, before) is None:
            raise InvalidRequest(
                f"{label} format is not specified. Set {field_name}, because an image with bytes needs it."
            )


def check_tag(tag: str) -> None:
    """Check that an image may have this tag; raises InvalidRequest."""
    _check_text("tag", tag, 255, least=1)


def check_project(project: str) -> None:
    """Check that this text can be the id of a project; raises InvalidRequest."""
    _check_text("project", project, 255, least=1)


def properties_after(asked: ImageFields, image: Image | None) -> dict[str, str]:
    """Return the properties after the change; `image` is None for a new image.

    Raises:
        InvalidRequest: two headers name the same property.
    """
    before = image.properties if image is not None else {}
    if asked.from_headers:
        asked = _meant(asked, before)
    if asked.replace_properties:
        unseen = omitted_from_headers(before) if asked.from_headers else frozenset()
        before = {name: before[name] for name in unseen}
    return {name: value for name, value in before.items() if name not in asked.dropped} | dict(
        asked.properties
    )


def _meant(asked: ImageFields, before: Mapping[str, str]) -> ImageFields:
    """Replace names and values from headers with the image's own names and values that they stand for.

    Headers lose the blanks around a value. If a client sends back an unchanged header, the property keeps its
    original value.
    """
    known = by_folded_name(before)

    def meant(name: str) -> str:
        return name if name in before or name != fold(name) else known.get(name, name)

    properties: dict[str, str] = {}
    for given, value in asked.properties.items():
        name = meant(given)
        if name in properties:
            raise InvalidRequest(f"The headers have the property {name[:80]} twice, in two spellings.")
        shown = before[name].strip(" ") if name in before else None
        properties[name] = before[name] if shown == value else value
    dropped = frozenset(meant(name) for name in asked.dropped)
    blank = {name: before[name] for name in dropped if name in before and not before[name].strip(" ")}
    return replace(asked, properties={**blank, **properties}, dropped=dropped - blank.keys())


def check_properties(
    properties: Mapping[str, str], settings: Settings, before: Mapping[str, str] | None = None
) -> None:
    """Check that an image may have all these properties together; `before` are its current ones.

    Raises:
        RequestTooLarge: there are too many properties, or they are too long.
        ReservedName: a property with a reserved name is new or changes. Unchanged ones are accepted.
    """
    _check_number_of_properties(properties, settings)
    known = before or {}
    for name, value in properties.items():
        if is_reserved(name) and known.get(name) != value:
            raise ReservedName(name)
    total = sum(len(name) + len(value.encode()) for name, value in properties.items())
    if total > settings.max_metadata_bytes:
        raise RequestTooLarge(
            f"The properties have {total} bytes together; at most {settings.max_metadata_bytes} are allowed."
        )


def _check_number_of_properties(properties: Mapping[str, str], settings: Settings) -> None:
    if len(properties) > settings.max_properties:
        raise RequestTooLarge(
            f"The limit has been exceeded on the number of allowed image properties: "
            f"{len(properties)}; at most {settings.max_properties} are allowed."
        )


def _check_field(name: str, value: Any, settings: Settings) -> None:
    if isinstance(value, str):
        _check_text(name, value, _LENGTHS.get(name))
    if name in _INTEGERS and not 0 <= value <= _INTEGER_MAX:
        raise InvalidRequest(f"Invalid {name}: {value} is out of range, which is 0 to {_INTEGER_MAX}.")
    formats = {"disk_format": settings.disk_formats, "container_format": settings.container_formats}.get(name)
    if formats is not None and value is not None and value not in formats:
        label = name.replace("_", " ")
        raise InvalidRequest(f"Invalid {label} {quoted(value)} for image; one of: {', '.join(formats)}.")


def _check_property(name: str, value: str, settings: Settings) -> None:
    if not _PROPERTY_NAME.fullmatch(name):
        raise InvalidRequest("A property's name has 1 to 255 printable ASCII characters and no blanks.")
    _check_text(f"property {name}", value, None)
    if len(value.encode()) > settings.max_property_bytes:
        raise RequestTooLarge(f"Property {name} is longer than {settings.max_property_bytes} bytes.")


def _check_text(what: str, value: str, most: int | None, least: int = 0) -> None:
    if len(value) < least:
        raise InvalidRequest(f"Invalid {what}: it must have at least one character.")
    if _FORBIDDEN.search(value):
        raise InvalidRequest(f"Invalid {what}: control characters are not allowed.")
    if most is not None and len(value) > most:
        raise InvalidRequest(f"Invalid {what}: it is too long, at most {most} characters are allowed.")
