"""Phases: pieces of the server's work, repeated for each call at which it is killed."""

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
from calotype.model.fields import ImageFields
from calotype.model.images import LocationState
from calotype.model.jobs import JobStatus
from calotype.model.policy import Caller
from calotype.model.states import Status
from tests.faults.campaign.clients import Deeds
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.ledger import Ledger
from tests.faults.campaign.surroundings import PLAIN, Surroundings
from tests.faults.campaign.verdict import judge
from tests.faults.campaign.victim import LEASE, Victim, pause, victim

#: Seconds after which the campaign continues without the end of a deed.
_PATIENCE = 15
_OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)
_OPERATOR = Caller(project="default", roles=frozenset({"admin"}))


class Scene:
    """A victim, and the ledger of its clients."""

    def __init__(self, victim: Victim, seed: int, settle: Callable[[Scene], object] = lambda scene: None):
        """`settle` is called before each verdict, while the victim runs."""
        self.victim = victim
        self._settle = settle
        self.ledger = Ledger()
        self.deeds = Deeds(victim, self.ledger, random.Random(seed))

    def do(self, deed: Callable[[Scene], None]) -> None:
        """Do something during which the victim may be killed."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            deed(self)

    def restart(self, *, failed: bool = False) -> list[str]:
        """Start the dead victim again, and return the broken promises."""
        died = time.monotonic()
        self.victim.start()
        self._settle(self)
        return judge(self.victim, self.ledger, died, failed=failed)

    def judge(self, *, failed: bool = False, lease: float = LEASE) -> list[str]:
        """Return the broken promises while the victim runs; `failed` as in `verdict.judge`."""
        self._settle(self)
        return judge(self.victim, self.ledger, time.monotonic(), failed=failed, lease=lease)

    def some(self, state: str) -> str:
        """Return the id of the newest undeleted image that is promised to be in this state."""
        return next(
            key
            for key, promise in reversed(self.ledger.items())
            if getattr(promise, state) and not promise.delete_asked and not promise.import_asked
        )

    def await_that(self, done: Callable[[], bool]) -> None:
        """Wait until `done` returns True, or the victim is dead."""
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
    """Yield a scene with a new victim and an empty database."""
    with victim(folder, databases.make(), settings, surroundings=surroundings) as running:
        yield Scene(running, 0, settle)


@dataclass(frozen=True)
class Phase:
    """A piece of a server's work: it may be killed during `deed`, not during `prepare` and `settle`."""

    name: str
    deed: Deed
    prepare: Deed = lambda scene: None
    settle: Deed = lambda scene: None
    settings: dict[str, str] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Callable[[str], Phase], tuple[str]]:
        """Send a phase to another process by its name, because lambdas cannot be pickled."""
        return _named, (self.name,)


def _named(name: str) -> Phase:
    return next(phase for phase in PHASES if phase.name == name)


def _import(scene: Scene) -> None:
    """Submit the job in this process, so that the victim only does the work."""
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
    """Submit a copy into the second store, as from another process."""
    service = scene.victim.service
    service.lifecycle.imports.submit(
        Change(_OPERATOR, ImageFields(), service.database.find(image_id)),
        ImportRequest(Origin.COPY, ("cold",)),
    )


def await_jobs(scene: Scene, image_id: str) -> None:
    """Wait until all jobs of an image have ended, or the victim is dead."""
    database = scene.victim.service.database
    scene.await_that(lambda: all(job.status not in _OPEN for job in database.jobs_of(image_id)))


def _abandon(scene: Scene) -> None:
    """Leave an upload whose bytes are there, and a removal, under long leases, as dead servers do."""
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
    """End the leases, and wait until the victim, which sweeps four times a second, has removed all."""
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
    """Flip one bit in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def age(running: Victim) -> None:
    """Make all copies old enough for the scrubber."""
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    stored = LocationRow.state == LocationState.STORED
    with running.service.database.engine.begin() as connection:
        connection.execute(update(LocationRow).where(stored).values(created_at=long_ago))


def _let_rot(scene: Scene) -> None:
    """Leave an image with a good and a damaged copy."""
    image_id = scene.deeds.upload()
    order_copy(scene, image_id)
    await_jobs(scene, image_id)
    flip(*scene.victim.blobs(image_id, "fast"))


def _scrub(scene: Scene) -> None:
    """Make the copies old, and wait until the victim, which scrubs ten times a second, restores one."""
    age(scene.victim)
    scene.await_that(lambda: _is_restored(scene))


def _scrub_again(scene: Scene) -> None:
    """Scrub until the copy is restored: a new scrubber begins with the copies in quarantine."""
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
