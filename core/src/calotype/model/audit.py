"""Audit records: changes of images, with the user, the origin and the outcome of each."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any


class Agent(enum.StrEnum):
    """The part of the service that made a change."""

    API = "api"  #: a request
    JOB = "job"  #: an import or a copy, for the user who asked for it
    SWEEPER = "sweeper"
    SCRUBBER = "scrubber"
    COMMAND = "command"  #: `calotype-manage`, with the name of the operating system's user


class AuditVerb(enum.StrEnum):
    """A kind of change of an image."""

    CREATE = "create"
    UPDATE = "update"
    UPLOAD = "upload"
    BEGIN_UPLOAD = "begin-upload"  #: of an upload session, whose end is an upload
    ABORT_UPLOAD = "abort-upload"
    REGISTER = "register"  #: with an external location
    STAGE = "stage"
    IMPORT = "import"
    COPY = "copy"  #: into more stores
    REMOVE_COPY = "remove-copy"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"
    DELETE = "delete"
    UNDELETE = "undelete"
    SHARE = "share"
    UNSHARE = "unshare"
    ANSWER = "answer"  #: a member accepts or rejects an image
    TAG = "tag"
    UNTAG = "untag"
    QUARANTINE = "quarantine"  #: a damaged or missing copy
    UNQUARANTINE = "unquarantine"
    RESTORE = "restore"  #: a damaged copy, from an intact one


class Outcome(enum.StrEnum):
    """The outcome of a change."""

    DONE = "done"
    ACCEPTED = "accepted"  #: a job was created, which will have a record of its own
    FAILED = "failed"
    REFUSED = "refused"  #: only in the log, so that refused requests do not fill the table


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a change. `token_id` identifies the token, but gives no access."""

    agent: Agent = Agent.API
    token_id: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """The user who makes a change, and the origin of the change."""

    user: str | None = None
    project: str | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A change. `verb` is an AuditVerb, or the method of a refused request. Stored records have an `id`."""

    at: datetime.datetime
    verb: str
    outcome: Outcome
    image_id: str | None
    actor: Actor
    detail: str = ""
    id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values, for the log, the command and the API."""
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
    """A query for records, newest first. A field that is None matches every record.

    If `before` is set, only records with smaller ids match.
    """

    image_id: str | None = None
    user: str | None = None
    project: str | None = None
    verb: AuditVerb | None = None
    since: datetime.datetime | None = None
    limit: int = 25
    before: int | None = None
