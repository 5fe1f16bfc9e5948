"""The verdict: whether every promise was kept, and nothing is left over, after a restart and a sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import func, select

from calotype.database.tables import ImageRow, JobRow, LocationRow, PartRow, SessionRow, UsageRow
from calotype.model.images import Image, LocationState
from calotype.model.jobs import JobStatus
from calotype.model.sessions import LIVING
from calotype.model.states import Status
from tests.faults.campaign.ledger import Ledger, Promise
from tests.faults.campaign.victim import LEASE, Victim, pause

#: Seconds after a lease's expiry within which dead work must end; a job is started again a second later.
_PATIENCE = 30
#: The statuses of work that is under way; none may be left.
_BUSY = (Status.SAVING, Status.IMPORTING)
_OPEN_JOBS = (JobStatus.PENDING, JobStatus.PROCESSING)


def judge(
    victim: Victim, ledger: Ledger, died: float, *, failed: bool = False, lease: float = LEASE
) -> list[str]:
    """Sweep after a victim that died at `died` and runs again, and return the broken promises.

    `failed`: something that a job needs was made to fail, so that the job may have failed with a reason.
    Images whose state is final are removed from the ledger.
    """
    pause(died + lease + 0.05 - time.monotonic())
    found = _end_everything(victim, lease + _PATIENCE)
    found += _fsck(victim)
    found += _sums(victim)
    for image_id, promise in ledger.items():
        image = victim.service.database.find(image_id)
        excused = failed and _job_failed(image, promise)
        broken = None if excused else _broken(victim, image_id, image, promise)
        if broken:
            found.append(f"{image_id}: {broken}")
        if image is None or broken or excused:
            ledger.settle(image_id)
    found += ledger.wrong
    ledger.wrong = []
    return found


def _end_everything(victim: Victim, seconds: float) -> list[str]:
    """Sweep until no work is under way, and return the work that is stuck."""
    end = time.monotonic() + seconds
    while True:
        status, said = victim.run("sweep")
        under_way = list(_under_way(victim))
        if time.monotonic() > end and status:
            return [f"calotype-manage sweep: {said}"]
        if not (under_way or status) or time.monotonic() > end:
            return [f"stuck: {one}" for one in under_way]
        pause(0.1)


def _under_way(victim: Victim) -> Iterator[str]:
    """Yield the images, locations, jobs and upload sessions whose work is under way."""
    leased = (LocationState.INTENDED, LocationState.PENDING_DELETE)
    asked = (
        select(ImageRow.id, ImageRow.status).where(ImageRow.status.in_(_BUSY)),
        select(LocationRow.key, LocationRow.state).where(LocationRow.state.in_(leased)),
        select(JobRow.id, JobRow.status).where(JobRow.status.in_(_OPEN_JOBS)),
        select(SessionRow.id, SessionRow.status).where(SessionRow.status.in_(LIVING)),
        select(PartRow.id, PartRow.state),
    )
    with victim.service.database.engine.connect() as connection:
        for query in asked:
            yield from (f"{one} is {status}" for one, status in connection.execute(query))


def _fsck(victim: Victim) -> list[str]:
    status, said = victim.run("fsck", "--deep=100GB", "--window=0")
    return [f"calotype-manage fsck: {line}" for line in said.splitlines()[:-1]] if status else []


def _sums(victim: Victim) -> list[str]:
    """Check that the usage of projects is that of their images."""
    alive = ImageRow.status != Status.DELETED
    images = select(ImageRow.owner, func.count()).where(alive).group_by(ImageRow.owner)
    counted = (
        select(ImageRow.owner, func.sum(LocationRow.counted))
        .join(ImageRow, ImageRow.id == LocationRow.image_id)
        .group_by(ImageRow.owner)
    )
    with victim.service.database.engine.connect() as connection:
        numbers = dict(connection.execute(images).all())
        sizes = dict(connection.execute(counted).all())
        used = connection.execute(select(UsageRow.project, UsageRow.images, UsageRow.bytes)).all()
    return [
        f"project {project} counts {count} images and {size} bytes, "
        f"but has {numbers.get(project, 0)} and {sizes.get(project, 0)}"
        for project, count, size in used
        if (count, size) != (numbers.get(project, 0), int(sizes.get(project, 0)))
    ]


def _job_failed(image: Image | None, promise: Promise) -> bool:
    """Return whether an import failed with a reason."""
    ended = image is not None and image.status in (Status.QUEUED, Status.KILLED)
    return ended and promise.importing and bool(image.status_reason)


def _broken(victim: Victim, image_id: str, image: Image | None, promise: Promise) -> str | None:
    """Return the broken promise of one image, or None."""
    if image is None:
        return None if promise.delete_asked or not promise.answered else "it is gone, but was not deleted"
    if promise.deleted:
        return f"it was deleted, but is {image.status}"
    if image.name not in promise.names:
        return f"its name is {image.name}, of {promise.names}"
    if image.status is Status.ACTIVE:
        return _broken_bytes(victim, image_id, promise)
    if promise.kept or promise.importing:
        return f"its bytes were accepted, but it is {image.status}: {image.status_reason}"
    if promise.staged and not promise.import_asked and image.status is not Status.UPLOADING:
        return f"its bytes were staged, but it is {image.status}: {image.status_reason}"
    if image.status is Status.KILLED and not image.status_reason:
        return "it is killed without a reason"
    return None


def _broken_bytes(victim: Victim, image_id: str, promise: Promise) -> str | None:
    if not (promise.sent or promise.import_asked):
        return "it is active without having been sent"
    got = victim.get(f"/images/{image_id}")
    if got.status != 200 or got.body != promise.body:
        return f"it is active, but its bytes are not those that were sent ({got.status})"
    return None
