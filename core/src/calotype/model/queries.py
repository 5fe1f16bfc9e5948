"""Queries: what a list of images or jobs asks for."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calotype.model.images import MemberStatus
from calotype.model.jobs import JobStatus


class Scope(enum.Enum):
    """Which images a list is about, or among which one is looked for."""

    PUBLIC = enum.auto()  #: public ones
    #: Public ones, the project's own, those shared with it, and others' community images.
    VISIBLE = enum.auto()
    ALL = enum.auto()  #: everybody's


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a value; `op` is one of `OPERATORS`."""

    field: str
    op: str
    value: Any


#: What every list holds to that does not ask for hidden images.
SHOWN = Condition("os_hidden", "eq", False)


@dataclass(frozen=True, slots=True)
class SortKey:
    """A field to sort by; null sorts before everything."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """What a list asks for. Everything is ANDed; the scope cannot be widened by a condition.

    `project` is whose view VISIBLE is; `memberships` are the answers by which a shared image
    counts as visible; `community` lets other projects' community images in. `after` is the
    `position` of the last image of the page before.
    """

    scope: Scope
    project: str | None = None
    memberships: frozenset[MemberStatus] = frozenset({MemberStatus.ACCEPTED})
    community: bool = False
    deleted: bool = False
    conditions: tuple[Condition, ...] = ()
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    sort: tuple[SortKey, ...] = (SortKey("created_at"), SortKey("id"))
    limit: int = 25
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class JobQuery:
    """What a list of jobs asks for; None: whatever it is.

    `after` is the `job_position` of the last job of the page before.
    """

    status: JobStatus | None = None
    makes_image: bool | None = None
    sort: tuple[SortKey, ...] = (SortKey("created_at", descending=True), SortKey("id", descending=True))
    limit: int = 25
    after: Mapping[str, Any] | None = None
