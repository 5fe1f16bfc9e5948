"""The names of properties: reserved names, the spelling in headers, and which properties fit into headers.

In a JSON document, a name can have any printable ASCII characters. In a header, upper and lower case are
equal, `-` and `_` are equal, and some characters are not allowed. So the header dialects fold a name: they
write it in lower case and with `_`. A folded name stands for the image's property whose name folds to it. If
several names fold to the same form, only a name that already has this form appears unchanged. The others are
percent-encoded.

JSON documents can also hold larger properties than headers can, because proxies and clients limit the length
of a header, the length of all headers, and their number. So headers show the properties that fit, and the
number of those that are left out.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Mapping

from calotype.model.policy import FIELDS

#: Fields of an image that only the server sets.
SERVER_FIELDS = frozenset(
    [
        "status",
        "status_reason",
        "size",
        "virtual_size",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "direct_url",
        "self",
        "file",
        "schema",
        "stores",
    ]
)
#: Names that have, or had, another meaning for clients.
_OTHER_MEANING = frozenset({"location", "locations", "deleted", "deleted_at"})
_RESERVED = SERVER_FIELDS | _OTHER_MEANING | FIELDS.keys() | {"id", "tags"}
_RESERVED_PREFIX = "os_glance"
#: Maximum size of a property with its name, in bytes. Apache, aiohttp and others refuse more than 8,190.
HEADER_MAX = 8000
#: Maximum size of all properties in headers, in bytes. Our nginx.conf allows twice this for all headers.
HEADERS_MAX = 32768
#: Maximum number of properties in headers. Python's HTTP clients refuse more than 100 headers.
HEADER_COUNT_MAX = 70
#: Characters that are percent-encoded in a header's name: all that cannot occur in a folded RFC 9110 token.
_ENCODED = re.compile(r"[^a-z0-9!#$&'*+.^_`|~]")


def is_reserved(name: str) -> bool:
    """Return whether the name is reserved, because clients would take the property for an image field."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIX)


def fold(name: str) -> str:
    """Return the folded form of a name. Names with the same folded form are equal in a header."""
    return name.lower().replace("-", "_")


def by_folded_name(names: Iterable[str]) -> dict[str, str]:
    """Map each folded form to the name that it stands for.

    A form that several names share is left out, unless one of the names is equal to the form. In that case,
    the form stands for that name.
    """
    found: dict[str, str] = {}
    shared: set[str] = set()
    for name in names:
        form = fold(name)
        if name == form or form not in found:
            found[form] = name
            continue
        shared.add(form)
    return {form: name for form, name in found.items() if name == form or form not in shared}


def header_names(names: Iterable[str]) -> dict[str, str]:
    """Map the name of each property of an image to its spelling in headers. No two spellings are equal."""
    listed = list(names)
    plain = by_folded_name(listed)
    return {name: _encoded(fold(name) if plain.get(fold(name)) == name else name) for name in listed}


def omitted_from_headers(properties: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the properties that do not fit into headers. The longest are left out first."""
    sizes = {
        name: len(spelled) + len(properties[name].encode())
        for name, spelled in header_names(properties).items()
    }
    omitted = set()
    room, count = HEADERS_MAX, HEADER_COUNT_MAX
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        if sizes[name] > min(HEADER_MAX, room) or not count:
            omitted.add(name)
            continue
        room -= sizes[name]
        count -= 1
    return frozenset(omitted)


def from_header(spelled: str) -> str:
    """Return the name that a header spells. The property that it refers to depends on the image."""
    return urllib.parse.unquote(fold(spelled), encoding="latin-1")


def _encoded(name: str) -> str:
    return _ENCODED.sub(lambda match: f"%{ord(match[0]):02x}", name)
