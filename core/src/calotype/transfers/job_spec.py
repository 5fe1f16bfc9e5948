"""Job specifications: the work of a job, as its row in the database holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calotype.database.unit_of_work import Unit
from calotype.model.audit import AuditVerb, Outcome
from calotype.model.images import Image
from calotype.model.jobs import JobKind
from calotype.model.policy import Caller
from calotype.model.states import Status

#: Kind of job -> its verb in the audit trail.
VERBS = {JobKind.FETCH: AuditVerb.IMPORT, JobKind.COPY: AuditVerb.COPY}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The work of a job.

    FETCH reads the bytes at `location` in the store `source`, or at `uri`, into the first of `stores`, and
    copies them into the others. COPY copies the image's bytes. `staged` is the key of staged bytes that are
    removed when the job ends. If `strict` is true, one failed store makes the whole job fail. `asked` is the
    part of the client's request that the task document shows. It never contains a location.
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
        """Return the specification as the database holds it.

        `asked` is left out if it is None, because older versions do not know it.
        """
        values = asdict(self)
        if self.asked is None:
            del values["asked"]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobSpec:
        """Return the specification that the database holds."""
        given = {**values, "stores": tuple(values["stores"]), "on_failure": Status(values["on_failure"])}
        return cls(**given)


def add_job(unit: Unit, kind: JobKind, image: Image, spec: JobSpec, caller: Caller) -> str:
    """Record a job on behalf of the caller, and return its id. Any process may take the job."""
    detail = f"stores {', '.join(spec.stores)}"
    unit.audit(VERBS[kind], image.id, caller.actor, detail, Outcome.ACCEPTED)
    return unit.add_job(kind, image, spec.to_json(), caller.actor)
