"""Queries for lists of images and of jobs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calotype.model.images import MemberStatus
from calotype.model.jobs import JobStatus


class Scope(enum.Enum):
    """The set of images that a list or a search is restricted to."""

    PUBLIC = enum.auto()  #: public images
    #: Public and community images, the project's own images, and the images that are shared with it.
    VISIBLE = enum.auto()
    ALL = enum.auto()  #: all images


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a field with a value. `op` is one of `calotype.database.queries.OPERATORS`."""

    field: str
    op: str
    value: Any


#: The condition that hides hidden images from a list.
SHOWN = Condition("os_hidden", "eq", False)


@dataclass(frozen=True, slots=True)
class SortKey:
    """A field to sort by. Null sorts before everything."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """A query for images that are in the scope, and meet all conditions and have all tags and properties.

    The scope VISIBLE depends on `project`. It contains a shared image if the project's answer is in
    `memberships`. It contains community images of other projects if `community` is true. `after` is the
    `position` of the last image of the previous page.
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
    """A query for jobs. A `status` or `makes_image` of None matches every job.

    `after` is the `job_position` of the last job of the previous page.
    """

    status: JobStatus | None = None
    makes_image: bool | None = None
    sort: tuple[SortKey, ...] = (SortKey("created_at", descending=True), SortKey("id", descending=True))
    limit: int = 25
    after: Mapping[str, Any] | None = None
