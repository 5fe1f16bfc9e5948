"""Limits and usage of projects, and counts of what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calotype.model.findings import FindingCount


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may use; None: as much as it likes."""

    bytes: int | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project's images use: bytes stored or reserved for uploads, and undeleted images."""

    bytes: int
    images: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """What comes in for a project now: images that are getting bytes, and bytes that wait to be imported."""

    images: int
    staged_bytes: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are of each status, and how many findings are open."""

    images: Mapping[str, int]
    locations: Mapping[str, int]
    jobs: Mapping[str, int]
    findings: tuple[FindingCount, ...]
