"""Audit records: which image was changed, by whom, from where, and how that ended."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any


class Agent(enum.StrEnum):
    """The part of the service that made a change."""

    API = "api"  #: a request
    JOB = "job"  #: an import or a copy, for whoever asked for it
    SWEEPER = "sweeper"
    SCRUBBER = "scrubber"
    COMMAND = "command"  #: `calotype-manage`; the user is the operating system's


class AuditVerb(enum.StrEnum):
    """A kind of change of an image."""

    CREATE = "create"
    UPDATE = "update"
    UPLOAD = "upload"
    REGISTER = "register"  #: given bytes that lie elsewhere
    STAGE = "stage"
    IMPORT = "import"
    COPY = "copy"  #: its bytes, into more stores
    REMOVE_COPY = "remove-copy"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"
    DELETE = "delete"
    UNDELETE = "undelete"
    SHARE = "share"
    UNSHARE = "unshare"
    ANSWER = "answer"  #: what a member says to an offer
    TAG = "tag"
    UNTAG = "untag"
    QUARANTINE = "quarantine"  #: a bad copy
    UNQUARANTINE = "unquarantine"
    RESTORE = "restore"  #: a bad copy, from a good one


class Outcome(enum.StrEnum):
    """How it ended."""

    DONE = "done"
    ACCEPTED = "accepted"  #: a job will do it, and have a record of its own
    FAILED = "failed"
    REFUSED = "refused"  #: in the log only: whoever is refused must not fill the table


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from. `token_id` names the token and lets nobody in."""

    agent: Agent = Agent.API
    token_id: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who makes a change, and where they do so from."""

    user: str | None = None
    project: str | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One change. `verb` is an AuditVerb, or the method of a refused request. `id`: None until it is read."""

    at: datetime.datetime
    verb: str
    outcome: Outcome
    image_id: str | None
    actor: Actor
    detail: str = ""
    id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values, as the log, the command and the API show it."""
        origin = self.actor.origin
        return {
            **({} if self.id is None else {"id": self.id}),
            "time": self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "verb": str(self.verb),
            "outcome": str(self.outcome),
            "image_id": self.image_id,
            "user_id": self.actor.user,
            "project_id": self.actor.project,
            "token_id": origin.token_id,
            "address": origin.address,
            "request_id": origin.request_id,
            "agent": str(origin.agent),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A question for records, newest first; None: whatever it is. `before` is an id."""

    image_id: str | None = None
    user: str | None = None
    project: str | None = None
    verb: AuditVerb | None = None
    since: datetime.datetime | None = None
    limit: int = 25
    before: int | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A slice of a list of records, and whether more follows."""

    records: tuple[AuditRecord, ...]
    more: bool
