"""A draft: what a client asks of an image, and the rules that any draft must keep.

A dialect turns its own syntax into a ImageFields and stops there; what may be in it is
decided here, once for all dialects. Which names a property may have stands in `calotype.model.properties`.
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
from calotype.model.properties import by_folded_name, fold, is_reserved, omitted_from_headers

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_PROPERTY_NAME = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
# Control characters would travel into headers, logs and terminals; surrogates into nothing.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LENGTHS = {"name": 255, "owner": 255}
_INTEGERS = {"min_disk": 2**31 - 1, "min_ram": 2**31 - 1}
_SIZE_MAX = 2**63 - 1


class InvalidRequest(Exception):
    """The draft breaks a rule; the message says which, for the client."""


class RequestTooLarge(InvalidRequest):
    """The draft asks for more than a limit allows."""


class ReservedName(InvalidRequest):
    """The draft gives a property a name that clients take for a field of the image."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Attribute '{name[:80]}' is reserved: no property can have that name.")


@dataclass(frozen=True, slots=True)
class ImageFields:
    """What a client asks for. Only what it named is here; nothing stands for "no change".

    `fields` maps a column of the image (name, visibility, disk_format ...) to its new
    value. `properties` are added to those that are there and `dropped` ones taken away,
    or, with `replace_properties`, they become the only ones: but a draft that is `from_headers` keeps those
    that headers do not show, because its client cannot have meant them. `tags` is the whole set.
    `size` (bytes) and `digests` (algorithm -> hex) are declarations about bytes to come.
    `store` is a store's name, `location` a URI, as the client gave them. `from_headers`: the properties
    were given in headers, which cannot say all names and values exactly (see `calotype.model.properties`).
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
    """The one form of an image id, lower-case and hyphenated; None if the text is no id.

    `uuid.UUID` takes braces, URNs and digits of other scripts: it must not be the judge.
    """
    lowered = text.lower() if text.isascii() else text
    return lowered if _ID.fullmatch(lowered) else None


def read_id(text: str) -> str:
    """The canonical form of an id that a client gave.

    Raises:
        InvalidRequest: it is none.
    """
    image_id = canonical_id(text)
    if image_id is None:
        raise InvalidRequest("Invalid image id format: an id is a UUID, lower-case and with hyphens.")
    return image_id


def new_id() -> str:
    """A fresh image id."""
    return str(uuid.uuid4())


def check_fields(draft: ImageFields, settings: Settings) -> None:
    """Check the rules that depend on the fields alone, and return if they hold.

    Raises:
        InvalidRequest, RequestTooLarge: with a sentence for the client.
    """
    _check_counts(draft, settings)
    for name, value in draft.fields.items():
        _check_field(name, value, settings)
    if draft.size is not None:
        if not 0 <= draft.size <= _SIZE_MAX:
            raise InvalidRequest(f"Invalid size: {draft.size} is not between 0 and {_SIZE_MAX}.")
        if draft.size > settings.image_size_cap:
            raise RequestTooLarge(
                f"Denying attempt to upload image larger than {settings.image_size_cap} bytes."
            )
    for algorithm, digest in draft.digests.items():
        _check_text(f"{algorithm} digest", digest, 128)
    for name, value in draft.properties.items():
        _check_property(name, value, settings)
    for tag in draft.tags or ():
        check_tag(tag)


def _check_counts(draft: ImageFields, settings: Settings) -> None:
    """Count before anything is looked at one by one."""
    if len(draft.tags or ()) > settings.max_tags:
        raise RequestTooLarge(
            f"The limit has been exceeded on the number of allowed image tags: {settings.max_tags}."
        )
    _check_number_of_properties(draft.properties, settings)


def check_formats(draft: ImageFields, image: Image | None = None) -> None:
    """Return if an image that gets bytes says what they are: for the dialects that want to know.

    Raises:
        InvalidRequest: one of the formats is neither in the draft nor in the image.
    """
    for field_name, label in (("disk_format", "Disk"), ("container_format", "Container")):
        before = getattr(image, field_name) if image is not None else None
        if draft.fields.get(field_name, before) is None:
            raise InvalidRequest(
                f"{label} format is not specified. Set {field_name}, because an image with bytes needs it."
            )


def check_tag(tag: str) -> None:
    """Return if an image may have this tag; raises InvalidRequest."""
    if not tag:
        raise InvalidRequest("A tag has at least one character.")
    _check_text("tag", tag, 255)


def check_project(project: str) -> None:
    """Return if this may be a project's id; raises InvalidRequest."""
    if not project:
        raise InvalidRequest("A project's id has at least one character.")
    _check_text("project", project, 255)


def properties_after(draft: ImageFields, image: Image | None) -> dict[str, str]:
    """Return the properties that an image, or a new one, will have once the draft is applied.

    Raises:
        InvalidRequest: headers give one property twice.
    """
    before = image.properties if image is not None else {}
    if draft.from_headers:
        draft = _meant(draft, before)
    if draft.replace_properties:
        unseen = omitted_from_headers(before) if draft.from_headers else frozenset()
        before = {name: before[name] for name in unseen}
    return {name: value for name, value in before.items() if name not in draft.dropped} | dict(
        draft.properties
    )


def _meant(draft: ImageFields, before: Mapping[str, str]) -> ImageFields:
    """Return a draft from headers with the names and values of an image's properties that it stands for.

    A client that sends back what it was shown changes nothing: blanks around a value do not survive a header.
    """
    known = by_folded_name(before)

    def meant(name: str) -> str:
        return name if name in before or name != fold(name) else known.get(name, name)

    properties: dict[str, str] = {}
    for given, value in draft.properties.items():
        name = meant(given)
        if name in properties:
            raise InvalidRequest(f"The property {name[:80]} comes twice in the headers, in two spellings.")
        shown = before[name].strip(" ") if name in before else None
        properties[name] = before[name] if shown == value else value
    dropped = frozenset(meant(name) for name in draft.dropped)
    blank = {name: before[name] for name in dropped if name in before and not before[name].strip(" ")}
    return replace(draft, properties={**blank, **properties}, dropped=dropped - blank.keys())


def check_properties(
    properties: Mapping[str, str], settings: Settings, before: Mapping[str, str] | None = None
) -> None:
    """Return if an image may have all these properties together; `before` are those that it has.

    Raises:
        RequestTooLarge: there are too many, or they are too long.
        ReservedName: one has a reserved name, and is not one that an earlier version let in.
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
            f"{len(properties)} of at most {settings.max_properties}."
        )


def _check_field(name: str, value: Any, settings: Settings) -> None:
    if isinstance(value, str):
        _check_text(name, value, _LENGTHS.get(name))
    if name in _INTEGERS and not 0 <= value <= _INTEGERS[name]:
        raise InvalidRequest(f"Invalid {name}: {value} is out of range, which is 0 to {_INTEGERS[name]}.")
    if name == "disk_format" and value is not None and value not in settings.disk_formats:
        raise InvalidRequest(
            f"Invalid disk format {quoted(value)} for image; one of: {', '.join(settings.disk_formats)}."
        )
    if name == "container_format" and value is not None and value not in settings.container_formats:
        raise InvalidRequest(
            f"Invalid container format {quoted(value)} for image; "
            f"one of: {', '.join(settings.container_formats)}."
        )


def _check_property(name: str, value: str, settings: Settings) -> None:
    if not _PROPERTY_NAME.fullmatch(name):
        raise InvalidRequest("A property's name has 1 to 255 printable ASCII characters and no blanks.")
    _check_text(f"property {name}", value, None)
    if len(value.encode()) > settings.max_property_bytes:
        raise RequestTooLarge(f"Property {name} is longer than {settings.max_property_bytes} bytes.")


def _check_text(what: str, value: str, most: int | None) -> None:
    if _FORBIDDEN.search(value):
        raise InvalidRequest(f"Invalid {what}: control characters are not allowed.")
    if most is not None and len(value) > most:
        raise InvalidRequest(f"Invalid {what}: it is too long, at most {most} characters are allowed.")
