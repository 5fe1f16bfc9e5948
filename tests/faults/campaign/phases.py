"""What the server is killed in: a phase is something it does, begun anew for each call that it may die at."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import update

from calotype.database.tables import ImageRow, LocationRow
from calotype.images.imports import ImportRequest, Origin
from calotype.model.change import Change
from calotype.model.changes import ImageFields
from calotype.model.images import LocationState, Status
from calotype.model.jobs import JobStatus
from calotype.model.policy import Caller
from tests.faults.campaign.clients import Deeds
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.ledger import Ledger
from tests.faults.campaign.surroundings import PLAIN, Surroundings
from tests.faults.campaign.verdict import judge
from tests.faults.campaign.victim import LEASE, Victim, pause, victim

#: Seconds that a deed may take before the campaign goes on without it.
_PATIENCE = 15
_OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)
_OPERATOR = Caller(project="default", roles=frozenset({"admin"}))


class Scene:
    """A victim and the ledger of those who speak to it."""

    def __init__(self, victim: Victim, seed: int, settle: Callable[[Scene], object] = lambda scene: None):
        """`settle` is done before each verdict, by a victim that lives."""
        self.victim = victim
        self._settle = settle
        self.ledger = Ledger()
        self.deeds = Deeds(victim, self.ledger, random.Random(seed))

    def do(self, deed: Callable[[Scene], None]) -> None:
        """Do something that the victim may die of."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            deed(self)

    def restart(self, *, failed: bool = False) -> list[str]:
        """Start the dead victim again, and say what is not as promised."""
        died = time.monotonic()
        self.victim.start()
        self._settle(self)
        return judge(self.victim, self.ledger, died, failed=failed)

    def judge(self, *, failed: bool = False, lease: float = LEASE) -> list[str]:
        """Say what is not as promised while the victim goes on; `failed` as in `verdict.judge`."""
        self._settle(self)
        return judge(self.victim, self.ledger, time.monotonic(), failed=failed, lease=lease)

    def some(self, state: str) -> str:
        """The id of the newest image that is promised to be in a state, and that nobody deleted."""
        return next(
            key
            for key, promise in reversed(self.ledger.items())
            if getattr(promise, state) and not promise.delete_asked and not promise.import_asked
        )

    def await_that(self, done: Callable[[], bool]) -> None:
        """Wait until something is so, or the victim is dead."""
        end = time.monotonic() + _PATIENCE
        while self.victim.process.poll() is None and not done() and time.monotonic() < end:
            pause(0.02)


Deed = Callable[[Scene], object]


@contextlib.contextmanager
def opened(
    databases: Databases,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    surroundings: Surroundings = PLAIN,
    settle: Deed = lambda scene: None,
) -> Iterator[Scene]:
    """A scene with a new victim, and an empty database, for as long as the `with` lasts."""
    with victim(folder, databases.make(), settings, surroundings=surroundings) as running:
        yield Scene(running, 0, settle)


@dataclass(frozen=True)
class Phase:
    """Something that a server does: `prepare` before it may die, `deed` while it may, `settle` afterwards."""

    name: str
    deed: Deed
    prepare: Deed = lambda scene: None
    settle: Deed = lambda scene: None
    settings: dict[str, str] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Callable[[str], Phase], tuple[str]]:
        """Another process has the same phases, but no lambda can be sent to it."""
        return _named, (self.name,)


def _named(name: str) -> Phase:
    return next(phase for phase in PHASES if phase.name == name)


def _import(scene: Scene) -> None:
    """Another process takes the order, so all that is walked through is the work."""
    image_id = scene.some("staged")
    service, promise = scene.victim.service, scene.ledger[image_id]
    image = service.database.find(image_id)
    promise.import_asked = True
    service.lifecycle.imports.submit(Change(_OPERATOR, ImageFields(), image), ImportRequest(Origin.STAGED))
    promise.importing = True
    await_jobs(scene, image_id)


def _copy(scene: Scene) -> None:
    image_id = scene.some("kept")
    order_copy(scene, image_id)
    await_jobs(scene, image_id)


def order_copy(scene: Scene, image_id: str) -> None:
    """Ask for a copy in the second store, as from another process."""
    service = scene.victim.service
    service.lifecycle.imports.submit(
        Change(_OPERATOR, ImageFields(), service.database.find(image_id)),
        ImportRequest(Origin.COPY, ("cold",)),
    )


def await_jobs(scene: Scene, image_id: str) -> None:
    """Wait until all jobs for an image have come to an end, or the victim is dead."""
    database = scene.victim.service.database
    scene.await_that(lambda: all(job.status not in _OPEN for job in database.jobs_of(image_id)))


def _abandon(scene: Scene) -> None:
    """Leave what dead servers leave: an upload whose bytes are there, and a removal; under long leases."""
    scene.deeds.delete(scene.deeds.upload())
    image_id = scene.deeds.upload()
    scene.ledger[image_id].kept = False
    half_way = {"state": LocationState.INTENDED, "location": None, "lease_owner": "gone"}
    with scene.victim.service.database.engine.begin() as connection:
        until = _in(3600)
        ours = LocationRow.image_id == image_id
        connection.execute(update(LocationRow).where(ours).values(**half_way, lease_until=until))
        connection.execute(update(ImageRow).where(ImageRow.id == image_id).values(status=Status.SAVING))


def _sweep(scene: Scene) -> None:
    """The victim sweeps four times a second: let it find something, and wait until nothing is left."""
    database = scene.victim.service.database
    left = LocationRow.state.in_([LocationState.INTENDED, LocationState.PENDING_DELETE])
    with database.engine.begin() as connection:
        connection.execute(update(LocationRow).where(left).values(lease_until=_in(-1)))
    scene.await_that(lambda: not database.leased_locations(_in(3600), 1))


def _in(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def _upload(scene: Scene) -> None:
    scene.deeds.upload()


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file, of which the file system knows nothing."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def age(running: Victim) -> None:
    """Have all copies be as old as those that the scrubber takes."""
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    stored = LocationRow.state == LocationState.STORED
    with running.service.database.engine.begin() as connection:
        connection.execute(update(LocationRow).where(stored).values(created_at=long_ago))


def _let_rot(scene: Scene) -> None:
    """Leave an image one of whose two copies is damaged."""
    image_id = scene.deeds.upload()
    order_copy(scene, image_id)
    await_jobs(scene, image_id)
    flip(*scene.victim.blobs(image_id, "fast"))


def _scrub(scene: Scene) -> None:
    """The victim scrubs ten times a second what is old: let it restore the copy."""
    age(scene.victim)
    scene.await_that(lambda: _is_restored(scene))


def _scrub_again(scene: Scene) -> None:
    """A scrubber that began anew goes on with what is in quarantine."""
    end = time.monotonic() + _PATIENCE
    while not _is_restored(scene) and time.monotonic() < end:
        scene.victim.run("scrub", "run")
        pause(0.2)


def _is_restored(scene: Scene) -> bool:
    image_id = scene.some("kept")
    files = scene.victim.blobs(image_id, "fast")
    return any(path.read_bytes() == scene.ledger[image_id].body for path in files)


PHASES = (
    Phase("upload", _upload),
    Phase("upload, chunked", lambda scene: scene.deeds.upload_chunked()),
    Phase("upload to queued", lambda scene: scene.deeds.upload_to_queued()),
    Phase("stage", lambda scene: scene.deeds.stage()),
    Phase("update", lambda scene: scene.deeds.rename(), prepare=_upload),
    Phase("delete", lambda scene: scene.deeds.delete(scene.some("kept")), prepare=_upload),
    Phase("import", _import, prepare=lambda scene: scene.deeds.stage()),
    Phase("copy", _copy, prepare=_upload),
    Phase(
        "sweep",
        _sweep,
        prepare=_abandon,
        settings={"calotype.sweep_interval": "0.25", "calotype.delete_grace": "3600"},
    ),
    Phase(
        "scrub",
        _scrub,
        prepare=_let_rot,
        settle=_scrub_again,
        settings={"calotype.scrub_period": "1", "calotype.scrub_rate": "1GiB"},
    ),
)
