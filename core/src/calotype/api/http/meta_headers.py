"""Read and write the headers x-image-meta-*.

Header values are UTF-8, which WSGI passes as latin-1. Header names are case-insensitive, and WSGI does not
distinguish `-` from `_`. Names are therefore folded to lower case and `_`. Folding would change some property
names; `calotype.model.property_names` defines how headers spell them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest
from calotype.model.property_names import from_header, header_names, omitted_from_headers

META = "x-image-meta-"
PROPERTY = "x-image-meta-property-"
#: The header with the number of omitted properties. It is not metadata, so its prefix differs.
OMITTED = "x-calotype-properties-omitted"

_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})


@dataclass(frozen=True, slots=True)
class MetaHeaders:
    """The meta headers of a request: folded names of fields and properties, with their values."""

    fields: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


def decode(headers: Iterable[tuple[str, str]]) -> MetaHeaders:
    """Return the meta headers of a request.

    Raises:
        InvalidRequest: a value is not UTF-8, or two headers have the same name after folding.
    """
    fields: dict[str, str] = {}
    properties: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower().replace("_", "-")
        if lowered.startswith(PROPERTY):
            into, key = properties, from_header(lowered.removeprefix(PROPERTY))
        elif lowered.startswith(META):
            into, key = fields, lowered.removeprefix(META).replace("-", "_")
        else:
            continue
        if key in into:
            raise InvalidRequest(f"The header {META}{key[:80]} occurs twice.")
        into[key] = _text(key, value)
    return MetaHeaders(fields, properties)


def encode(fields: Mapping[str, str], properties: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return fields and properties as WSGI headers, which `decode` can read.

    Properties that do not fit are omitted, and the header `OMITTED` gives their number.
    """
    spelled = header_names(properties)
    omitted = omitted_from_headers(properties)
    return [
        *((f"{META}{name}", _wire(value)) for name, value in fields.items()),
        *(
            (f"{PROPERTY}{spelled[name]}", _wire(value))
            for name, value in properties.items()
            if name not in omitted
        ),
        *([(OMITTED, f"{len(omitted)}")] if omitted else []),
    ]


def read_integer(name: str, text: str) -> int:
    """Parse a field's value, which has at most 19 ASCII digits; raises InvalidRequest for any other text."""
    if text.startswith("-") and _INTEGER.fullmatch(text[1:]):
        raise InvalidRequest(f"Invalid {name}: it cannot be negative.")
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest(
            f"Cannot convert {name} to an integer: it is {number_of(name)}, not {quoted(text)}."
        )
    return int(text)


def number_of(name: str) -> str:
    """Return a description of a numeric field or filter for messages: "a number of bytes in digits"."""
    field = name.removesuffix("_min").removesuffix("_max")
    unit = {"min_disk": "GiB", "min_ram": "MiB"}.get(field, "bytes")
    return f"a number of {unit} in digits"


def read_boolean(text: str) -> bool:
    """Return True if a value is one of the words for true, and False for any other text."""
    return text.strip().lower() in _TRUE


def _text(name: str, value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise InvalidRequest(f"The header {META}{name[:80]} is not UTF-8.") from None


def _wire(value: str) -> str:
    return value.encode("utf-8").decode("latin-1")
