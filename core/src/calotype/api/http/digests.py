"""Digests of an image's bytes in headers (RFC 9530), which uploads declare and downloads ask for.

`Repr-Digest` is the digest of a whole image, and `Content-Digest` that of the body of one message. The body
of an ordinary upload is a whole image, so there both mean the same. MD5 and the other algorithms that the RFC
calls insecure are ignored, and so are unknown ones.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, cast

import http_sf

from calotype.api.http.request import Request
from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest
from calotype.model.images import Image

#: Maximum length of one of these headers, in characters. The parser works character by character.
FIELD_MAX = 1000
_CONTENT = "Content-Digest"
_WHOLE = "Repr-Digest"
#: Names of algorithms in the headers -> names in `hashlib`. These are the active ones of IANA's registry.
_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}


def declared_digests(request: Request) -> dict[str, str]:
    """Return the digests that the headers of an upload declare: name in `hashlib` -> lower-case hex.

    Raises:
        InvalidRequest: a header is malformed, or the headers contradict each other.
    """
    declared: dict[str, str] = {}
    for name in (_CONTENT, _WHOLE):
        for algorithm, digest in _read_digests(name, request.headers.get(name, "")).items():
            if declared.setdefault(algorithm, digest) != digest:
                raise InvalidRequest(
                    f"{_CONTENT} and {_WHOLE} contradict each other. The body of an upload is the whole "
                    "image, so both are the digest of the same bytes."
                )
    return declared


def content_digests(request: Request) -> dict[str, bytes]:
    """Return the digests that a request declares for its own body: name in `hashlib` -> digest.

    Raises:
        InvalidRequest: the header is malformed.
    """
    found = _read_digests(_CONTENT, request.headers.get(_CONTENT, ""))
    return {algorithm: bytes.fromhex(digest) for algorithm, digest in found.items()}


def whole_digests(request: Request) -> dict[str, str]:
    """Return the SHA-256 in hex that a request declares for an image that arrives in parts, by its name.

    Raises:
        InvalidRequest: the header is malformed, or has only a digest that is not computed for such an image.
    """
    found = _read_digests(_WHOLE, request.headers.get(_WHOLE, ""))
    if found and "sha256" not in found:
        raise InvalidRequest(f"{_WHOLE} of a resumable upload needs sha-256, because no other is computed.")
    return {algorithm: digest for algorithm, digest in found.items() if algorithm == "sha256"}


def wanted_digests(request: Request, image: Image, *, partial: bool = False) -> list[tuple[str, str]]:
    """Return the headers with the SHA-256 of an image that the request asks for.

    `partial` is true if the response has, or may have, only a part of the bytes. The digest of such a body is
    not known.
    """
    if image.os_hash_algo != "sha256" or image.os_hash_value is None:
        return []
    asked = {_WHOLE: request.environ.get("HTTP_WANT_REPR_DIGEST")}
    if not partial:
        asked[_CONTENT] = request.environ.get("HTTP_WANT_CONTENT_DIGEST")
    names = [name for name, wish in asked.items() if wish and _wants_sha256(name, wish)]
    digest = base64.b64encode(bytes.fromhex(image.os_hash_value)).decode() if names else ""
    return [(name, f"sha-256=:{digest}:") for name in names]


def _read_digests(name: str, text: str) -> dict[str, str]:
    digests = {}
    for key, (value, _) in _read_members(name, text).items():
        algorithm = _ALGORITHMS.get(key)
        size = hashlib.new(algorithm).digest_size if algorithm else None
        if not isinstance(value, bytes) or size not in (None, len(value)):
            raise InvalidRequest(
                f"{name} has a value for {quoted(key)} that is no digest of this algorithm: {quoted(text)}. "
                "Write the digest in base64 between colons."
            )
        if algorithm:
            digests[algorithm] = value.hex()
    return digests


def _wants_sha256(name: str, wish: str) -> bool:
    """Return whether a client prefers a SHA-256 in the header `name` to none; False if that is malformed."""
    try:
        weight, _ = _read_members(f"Want-{name}", wish).get("sha-256", (0, None))
    except InvalidRequest:
        return False  # because a preference is only a hint
    return type(weight) is int and 1 <= weight <= 10


def _read_members(name: str, text: str) -> Mapping[str, Any]:
    """Return the members of a dictionary in a header (RFC 9651 3.2): key -> value and parameters.

    Raises:
        InvalidRequest: the header is no dictionary, or too long.
    """
    if not text:
        return {}
    if len(text) > FIELD_MAX:
        raise InvalidRequest(f"{name} has {len(text)} characters; at most {FIELD_MAX} are allowed.")
    try:
        members = http_sf.parse(text.encode("latin-1"), tltype="dictionary")
    except ValueError:
        raise InvalidRequest(
            f"{name} is malformed: {quoted(text)}. RFC 9530 defines its form, such as sha-256=:BASE64:."
        ) from None
    return cast(Mapping[str, Any], members)
