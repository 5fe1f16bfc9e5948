"""Job specifications: the work that a job is written down for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calotype.database.unit_of_work import Unit
from calotype.model.audit import AuditVerb, Outcome
from calotype.model.images import Image, Status
from calotype.model.jobs import JobKind
from calotype.model.policy import Caller

#: What the audit trail calls each kind of job.
VERBS = {JobKind.FETCH: AuditVerb.IMPORT, JobKind.COPY: AuditVerb.COPY}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The work of a job.

    FETCH reads `location` of the store `source`, or what lies at `uri`, into the first
    of `stores`, and copies on from there; COPY copies what the image has. `staged` is the key of
    bytes that go when the job ends. `strict`: one store that fails fails the whole job. `asked` is the
    request of the client for whom the job makes the image, to be shown again; it never says where bytes lie.
    """

    stores: tuple[str, ...]
    source: str | None = None
    location: str | None = None
    uri: str | None = None
    staged: str | None = None
    size: int | None = None
    limit: int | None = None
    on_failure: Status = Status.KILLED
    strict: bool = True
    asked: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the specification as the database keeps it; older versions do not know `asked`."""
        values = asdict(self)
        if self.asked is None:
            del values["asked"]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobSpec:
        """Return the specification that the database keeps."""
        given = {**values, "stores": tuple(values["stores"]), "on_failure": Status(values["on_failure"])}
        return cls(**given)


def add_job(unit: Unit, kind: JobKind, image: Image, spec: JobSpec, caller: Caller) -> str:
    """Write a job down for the caller, so that some process takes it, and return its id."""
    detail = f"stores {', '.join(spec.stores)}"
    unit.audit(VERBS[kind], image.id, caller.actor, detail, Outcome.ACCEPTED)
    return unit.add_job(kind, image, spec.to_json(), caller.actor)
