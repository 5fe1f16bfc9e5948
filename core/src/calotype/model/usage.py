"""Limits and usage of projects, and counts of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calotype.model.findings import FindingCount


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on a project's usage. None means that there is no limit."""

    bytes: int | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a project: its stored and reserved bytes, and its images except deleted ones."""

    bytes: int
    images: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """The images of a project that are getting bytes now, and its staged bytes."""

    images: int
    staged_bytes: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of rows in each status, and of open findings."""

    images: Mapping[str, int]
    locations: Mapping[str, int]
    jobs: Mapping[str, int]
    findings: tuple[FindingCount, ...]
