"""Findings: problems that a check saw in a store."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass


class FindingKind(enum.StrEnum):
    """A kind of problem with a copy of an image's bytes, with another object, or with the store itself."""

    MISSING = "missing"  #: the store does not have the bytes of an image
    WRONG_SIZE = "wrong size"  #: the store has more or fewer bytes than the image
    WRONG_DIGEST = "wrong digest"  #: the bytes do not have the image's hash
    UNREADABLE = "unreadable"  #: the store answers, but cannot read the bytes
    UNREACHABLE = "unreachable"  #: the store does not answer, or is not configured
    ORPHAN = "orphan"  #: an object that belongs to no image
    LEFTOVER = "leftover"  #: parts of an upload that is not in the database
    SCRUB_STOPPED = "scrub stopped"  #: so many copies are bad that the store itself may be broken


class FindingState(enum.StrEnum):
    """The state of a finding."""

    OPEN = "open"
    REPAIRED = "repaired"  #: a check repaired the damage
    LIFTED = "lifted"  #: an operator ended it; the next check may open it again
    CLOSED = "closed"  #: a later check found nothing wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a store. `subject` is the key of a copy, or the location of an orphan."""

    id: str
    kind: FindingKind
    store: str
    image_id: str | None
    subject: str
    detail: str
    state: FindingState
    found_at: datetime.datetime
    seen_at: datetime.datetime
    closed_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class FindingCount:
    """The number of open findings of a kind in a store."""

    kind: FindingKind
    store: str
    count: int
