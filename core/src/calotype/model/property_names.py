"""The names of properties: reserved names, the spelling in headers, and which properties fit into headers.

A JSON document can have any name of printable ASCII. The names of headers have no case, `-` and `_` are the
same in them, and some characters are not allowed. So the header dialects spell a name in lower case and with
`_`. That spelling stands for the one property of the image whose name folds to it. If several do, only a name
that is in this form already is spelled so, and the others are percent-encoded.

JSON documents can also be longer than headers, because proxies and clients limit the length of a header, the
length of all headers, and their number. So headers show the properties that fit, and how many are left out.
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
#: The most bytes of a property in headers, with its name. Apache, aiohttp and others refuse over 8,190.
HEADER_MAX = 8000
#: The most bytes of all properties in headers. Our nginx.conf allows twice as many for all headers.
HEADERS_MAX = 32768
#: The most properties in headers. Python's HTTP clients refuse more than 100 headers.
HEADER_COUNT_MAX = 70
#: Characters that are percent-encoded in a header's name: all but the caseless token characters of RFC 9110.
_ENCODED = re.compile(r"[^a-z0-9!#$&'*+.^_`|~]")


def is_reserved(name: str) -> bool:
    """Return whether no property may have this name, because clients take it for a field of the image."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIX)


def fold(name: str) -> str:
    """Return the common form of all names that are the same in a header."""
    return name.lower().replace("-", "_")


def by_folded_name(names: Iterable[str]) -> dict[str, str]:
    """Return the name that each folded form stands for. A form that several names share stands for none.

    A name that is in the folded form itself always stands for itself.
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
    """Return the spelling in headers of each of an image's properties. No two are equal."""
    listed = list(names)
    plain = by_folded_name(listed)
    return {name: _encoded(fold(name) if plain.get(fold(name)) == name else name) for name in listed}


def omitted_from_headers(properties: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the properties that do not fit into headers, which are the longest ones."""
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
    """Return the name that a header spells. The property that it stands for depends on the image."""
    return urllib.parse.unquote(fold(spelled), encoding="latin-1")


def _encoded(name: str) -> str:
    return _ENCODED.sub(lambda match: f"%{ord(match[0]):02x}", name)
