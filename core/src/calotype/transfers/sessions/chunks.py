"""Chunks: the bytes that one request adds to an upload session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from calotype.transfers.readers import Source


@dataclass(frozen=True, slots=True)
class Chunk:
    """The bytes that one request adds to an upload session.

    Args:
        offset: The position of the first byte in the image.
        source: The bytes. If it knows its length, a source that ends earlier is considered broken.
        digests: The digests that all bytes of the chunk must have: sha256, sha512, sha1, md5 or crc32 (big
            endian) -> bytes.
        alone: If true, the chunk must begin at the session's offset, and it ends the requests that write to
            the session now. If false, it may begin anywhere, and other chunks may arrive at the same time.
    """

    offset: int
    source: Source
    digests: Mapping[str, bytes] = field(default_factory=dict)
    alone: bool = True
