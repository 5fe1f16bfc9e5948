"""The names of properties: which ones are reserved, how headers spell the others, and which fit into headers.

JSON documents carry any name of printable ASCII. Header names have no case, `-` counts as `_` in them, and
some characters cannot stand in them at all. So the header dialects spell a name in lower case and with `_`,
and a name read from a header stands for the one property of the image that is spelled so. Where the image
has several, each but the one that is in that form already is spelled exactly: percent-encoded.

JSON documents also carry more than headers can: proxies and clients give up at long header lines, at long
heads and at many headers. So headers show the properties that fit, and say how many they leave out.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Mapping

from calotype.model.policy import FIELDS

#: Fields of an image that the server alone sets.
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
#: Names that had, or have, another meaning for clients.
_OTHER_MEANING = frozenset({"location", "locations", "deleted", "deleted_at"})
_RESERVED = SERVER_FIELDS | _OTHER_MEANING | FIELDS.keys() | {"id", "tags"}
_RESERVED_PREFIX = "os_glance"
#: Bytes of one property in headers, name and value: Apache, aiohttp and others refuse lines above 8,190.
HEADER_MAX = 8000
#: Bytes of all properties in headers. The largest head that our nginx.conf takes is twice as long.
HEADERS_MAX = 32768
#: Properties in headers: Python's HTTP clients stop reading at 100 headers.
HEADER_COUNT_MAX = 70
#: What a header name cannot say exactly: all but those token characters of RFC 9110 that have one case.
_ENCODED = re.compile(r"[^a-z0-9!#$&'*+.^_`|~]")


def is_reserved(name: str) -> bool:
    """Return whether a property may not have this name, because clients take it for a field of the image."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIX)


def fold(name: str) -> str:
    """Return the form that all spellings share which a header cannot tell apart."""
    return name.lower().replace("-", "_")


def by_folded_name(names: Iterable[str]) -> dict[str, str]:
    """Return the name that each folded form stands for; forms that several names share stand for none.

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
    """Return the header spelling of each of an image's properties; no two are alike."""
    listed = list(names)
    plain = by_folded_name(listed)
    return {name: _encoded(fold(name) if plain.get(fold(name)) == name else name) for name in listed}


def omitted_from_headers(properties: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the properties that headers have no room for: the longest ones."""
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
    """Return the name that a header's spelling says, by itself: what it stands for depends on the image."""
    return urllib.parse.unquote(fold(spelled), encoding="latin-1")


def _encoded(name: str) -> str:
    return _ENCODED.sub(lambda match: f"%{ord(match[0]):02x}", name)
