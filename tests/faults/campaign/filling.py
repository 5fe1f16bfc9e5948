"""Full disks: uploads fill a small disk until they are refused, and deletes through the API empty it again.

All files of the victim are on this disk, including SQLite. It is killed while the disk fills and while it is
emptied. In every other round a file takes the last byte of the disk.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.faults.campaign.clients import Filler
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import Scene
from tests.faults.campaign.victim import Victim, pause, victim
from tests.support.disks import mount_here

_SIZE = "48m"
_CLIENTS = 3
#: The time limit in seconds for filling the disk, and for the removal of deleted images.
_PATIENCE = 60
#: The statuses of an upload to a full disk: the store is full, or the database is.
_FULL = {413, 507}
_SETTINGS = {"calotype.sweep_interval": "0.25"}


def fill(databases: Databases, folder: Path, times: int, seed: int = 0) -> Tally:
    """Fill the disk and empty it, `times` times.

    Raises:
        NoDisk: this process may not mount.
    """
    # Only a separate process and its children see the disk, so that it need not be unmounted.
    disk = folder / "victim" / "data"
    disk.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        pool.submit(mount_here, disk, _SIZE).result()
        return pool.submit(_fill, databases, folder, times, seed).result()


def _fill(databases: Databases, folder: Path, times: int, seed: int) -> Tally:
    tally, dice = Tally("anything: the disk is full", databases.name), random.Random(seed)
    with victim(folder, databases.make(), _SETTINGS) as running:
        scene = Scene(running, seed)
        for number in range(times):
            moment = dice.uniform(0.1, 1.5)
            found = _until_killed(scene, moment, dice)
            found += _until_full(scene, dice)
            with _taken(running) if number % 2 == 0 else contextlib.nullcontext():
                found += _emptied(scene, dice)
            found += _takes_again(scene)
            tally.add([*found, *scene.judge()], f"round {number}, killed after {moment:.3f} s")
    return tally


def _until_killed(scene: Scene, moment: float, dice: random.Random) -> list[str]:
    """Kill the victim during uploads."""
    fillers = _fillers(scene, dice)
    pause(moment)
    scene.victim.kill()
    for filler in fillers:
        filler.join()
    return scene.restart()


def _fillers(scene: Scene, dice: random.Random) -> list[Filler]:
    fillers = [Filler(scene.victim, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
    for filler in fillers:
        filler.start()
    return fillers


def _until_full(scene: Scene, dice: random.Random) -> list[str]:
    """Upload until each client was refused, then kill the victim, and judge it on the full disk."""
    fillers = _fillers(scene, dice)
    for filler in fillers:
        filler.join(_PATIENCE)
        filler.end.set()
    refused = [filler.refusal for filler in fillers]
    found = [f"a client was answered {one}" for one in refused if one is None or one.status not in _FULL]
    scene.victim.kill()
    return found + scene.restart()


@contextlib.contextmanager
def _taken(running: Victim) -> Iterator[None]:
    """Fill the rest of the disk with a file while no process has SQLite's files open.

    These contain free space, which is given up when the last process closes the database.
    """
    running.stop()
    running.service.database.engine.dispose()
    disk, path = os.statvfs(running.data_dir), running.data_dir / "taken"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize)
    running.start()
    try:
        yield
    finally:
        path.unlink()


def _emptied(scene: Scene, dice: random.Random) -> Iterator[str]:
    """Delete all images, and kill the victim after some of them; no delete may be refused."""
    kept = [key for key, promise in scene.ledger.items() if promise.kept and not promise.deleted]
    last = dice.choice(kept)
    for image_id in kept:
        scene.deeds.delete(image_id)
        if not scene.ledger[image_id].deleted:
            yield f"{image_id} could not be deleted on a full disk"
        if image_id == last:
            scene.victim.kill()
            scene.victim.start()


def _takes_again(scene: Scene) -> Iterator[str]:
    """Upload again once the deleted images are removed."""
    end = time.monotonic() + _PATIENCE
    while not scene.ledger[image_id := scene.deeds.upload()].kept:
        if time.monotonic() > end:
            yield f"the disk was emptied, but an upload was refused: {scene.ledger[image_id].answer}"
            return
        pause(0.1)
