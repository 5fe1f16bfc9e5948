"""Outages: make a store unavailable for seconds, under six clients.

A file store's directory is moved away, or replaced by an empty one, like a disk that is not mounted. An S3
server closes each connection, or takes requests and hangs. Requests that need the store get 503 in bounded
time, and no others do. Jobs that are submitted meanwhile are done afterwards.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select

from calotype.database.tables import ImageRow, JobRow
from calotype.model.jobs import JobStatus
from calotype.model.states import Status
from calotype.testing import Fault, FaultProxy
from tests.faults.campaign.clients import Steadfast
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import Scene
from tests.faults.campaign.surroundings import Surroundings
from tests.faults.campaign.victim import Victim, pause, victim

_CLIENTS = 6
#: A lease that does not expire on a busy machine. The patience with jobs is longer than an outage.
_LEASE = 3.0
_SETTINGS = {"calotype.lease": f"{_LEASE}", "calotype.sweep_interval": "0.25", "calotype.job_patience": "600"}
#: Seconds for which a hanging server holds a request, and the time limits for any response and for the first
#: upload to a store that is back.
_HANG, _BOUND, _PATIENCE = 4.0, 30, 15
_READS = ("/images/{}", "/v1/images/{}", "/v2/images/{}/file")

#: Makes a store unavailable until the block ends.
Absence = Callable[[], AbstractContextManager[None]]


def unmount(databases: Databases, folder: Path, times: int, seed: int = 0) -> Tally:
    """Move a file store's directory away, `times` times; every other time an empty one replaces it."""
    tally = Tally("anything: a store's disk is away", databases.name)
    with victim(folder, databases.make(), _SETTINGS) as running:
        ways = [partial(_moved, running.data_dir / "fast", empty=empty) for empty in (False, True)]
        _leave(tally, running, ways, times, seed)
    return tally


def hang(databases: Databases, folder: Path, times: int, around: Surroundings, seed: int = 0) -> Tally:
    """Have an S3 server close each connection or hang, in turn, `times` times."""
    tally = Tally(around.title("anything: a store refuses or hangs"), databases.name)
    server = urlsplit(around.s3["endpoint_url"])
    with FaultProxy(server.hostname, server.port) as proxy:
        through = replace(around, s3={**around.s3, "endpoint_url": proxy.url})
        with victim(folder, databases.make(), _SETTINGS, surroundings=through) as running:
            faults = (Fault(refuse=True), Fault(latency=_HANG, refuse=True))
            _leave(tally, running, [partial(_failing, proxy, fault) for fault in faults], times, seed)
    return tally


def _leave(tally: Tally, running: Victim, ways: list[Absence], times: int, seed: int) -> None:
    """Make the store unavailable under clients, in each way in turn."""
    scene, dice = Scene(running, seed), random.Random(seed)
    for number in range(times):
        image_id = scene.deeds.upload()
        scene.ledger.slowest = 0
        clients = [Steadfast(running, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
        for client in clients:
            client.start()
        pause(dice.uniform(0.1, 0.6))
        with ways[number % len(ways)]():
            found = list(_meanwhile(scene, image_id))
            pause(dice.uniform(0.5, 3))
        found += _afterwards(scene)
        for client in clients:
            client.end.set()
        for client in clients:
            client.join()
        if scene.ledger.slowest > _BOUND:
            found.append(f"an answer took {scene.ledger.slowest:.1f} s")
        tally.add([*found, *scene.judge(lease=_LEASE), *_failed_jobs(running)], f"outage {number}")


def _meanwhile(scene: Scene, image_id: str) -> Iterator[str]:
    """Check that requests that need the store get 503 in every dialect, and that others are answered."""
    for path in _READS:
        got = scene.victim.get(path.format(image_id))
        if got.status != 503 or "Retry-After" not in got.headers:
            yield f"GET {path} of an image in an unavailable store is {got.status} {got.text[:100]}"
    for deed in (scene.deeds.upload, scene.deeds.upload_chunked, scene.deeds.upload_to_queued):
        answer = scene.ledger[deed()].answer
        if answer is None or answer.status != 503:
            yield f"{deed.__name__} to an unavailable store is {answer and (answer.status, answer.text)}"
    if not scene.ledger[scene.deeds.copy_from()].importing:
        yield "a copy-from was refused, although its job could wait for the store"
    listed = scene.victim.get("/images").status
    if listed != 200:
        yield f"a list is {listed} while a store is unavailable"


def _afterwards(scene: Scene) -> Iterator[str]:
    end = time.monotonic() + _PATIENCE
    while not scene.ledger[image_id := scene.deeds.upload()].kept:
        if time.monotonic() > end:
            yield f"the store is back, but an upload was refused: {scene.ledger[image_id].answer}"
            return
        pause(0.1)


def _failed_jobs(running: Victim) -> Iterator[str]:
    """Yield the jobs that failed instead of waiting, except those of deleted images."""
    failed = (
        select(JobRow.kind, JobRow.image_id, JobRow.message)
        .join(ImageRow, ImageRow.id == JobRow.image_id)
        .where(JobRow.status == JobStatus.FAILURE, ImageRow.status != Status.DELETED)
    )
    with running.service.database.engine.connect() as connection:
        yield from (f"job failed: {job}" for job in connection.execute(failed))


@contextlib.contextmanager
def _moved(root: Path, *, empty: bool) -> Iterator[None]:
    aside = root.with_name("aside")
    root.rename(aside)
    if empty:
        root.mkdir(mode=0o755)
    try:
        yield
    finally:
        if empty:
            root.rmdir()  # it fails if anything was written there
        aside.rename(root)


@contextlib.contextmanager
def _failing(proxy: FaultProxy, fault: Fault) -> Iterator[None]:
    proxy.inject(fault, times=None)
    try:
        yield
    finally:
        proxy.heal()
