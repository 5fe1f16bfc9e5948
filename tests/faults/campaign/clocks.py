"""Clocks: set those of two serving and sweeping processes by an hour or a day, forward and back.

No running upload may be considered dead because of that, and no dead one alive.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.campaign.clients import Client, Deeds
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import Scene
from tests.faults.campaign.victim import Victim, pause, victim
from tests.servers.common import Unavailable, apt

_HOUR, _DAY = 3600, 86400
#: Seconds. Long enough that a busy machine renews it in time, because that is not tested here.
_LEASE = 6.0
_SETTINGS = {"calotype.lease": f"{_LEASE}", "calotype.sweep_interval": "0.25"}
#: The errors of the two clocks in seconds, one step after the other.
STEPS = (
    (_HOUR, 0),
    (_DAY, _DAY),
    (0, _HOUR),
    (0, 0),
    (-_HOUR, 0),
    (-_DAY, -_DAY),
    (_HOUR, -_DAY),
    (0, 0),
)
_SLOW = 3
_CLIENTS = 2


def jump(databases: Databases, folder: Path, times: int, seed: int = 0) -> Tally:
    """Set the clocks while uploads run that last longer than a lease, `times` times."""
    tally = Tally("anything: clocks are set", databases.name)
    dice = random.Random(seed)
    with _clocked(databases, folder) as (running, clocks):
        scene = Scene(running, seed)
        for number in range(times):
            step = STEPS[number % len(STEPS)]
            deeds = [Deeds(running, scene.ledger, random.Random(dice.getrandbits(32))) for _ in range(_SLOW)]
            slow = [threading.Thread(target=_upload, args=(one, scene)) for one in deeds]
            clients = [Client(running, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
            for thread in (*slow, *clients):
                thread.start()
            pause(_LEASE / 2)
            for clock, wrong in zip(clocks, step, strict=True):
                clock.write_text(f"{wrong:+d}\n")
            for thread in slow:
                thread.join()
            for client in clients:
                client.end.set()
                client.join()
            tally.add(scene.judge(lease=_LEASE), f"{step[0]:+d} s and {step[1]:+d} s")
    return tally


def die(databases: Databases, folder: Path, times: int, seed: int = 0) -> Tally:
    """Kill both processes in the middle of everything, while their clocks are wrong."""
    tally = Tally("anything: killed with wrong clocks", databases.name)
    dice = random.Random(seed)
    with _clocked(databases, folder) as (running, clocks):
        scene = Scene(running, seed)
        for number in range(times):
            step = STEPS[number % len(STEPS)]
            for clock, wrong in zip(clocks, step, strict=True):
                clock.write_text(f"{wrong:+d}\n")
            clients = [Client(running, scene.ledger, dice.getrandbits(32)) for _ in range(2 * _CLIENTS)]
            for client in clients:
                client.start()
            pause(dice.uniform(0.3, 1.5))
            running.kill_all()
            for client in clients:
                client.join()
            for clock in clocks:
                clock.write_text("+0\n")
            running.start()
            running.join({"FAKETIME_TIMESTAMP_FILE": str(clocks[1])})
            tally.add(scene.judge(lease=_LEASE), f"{step[0]:+d} s and {step[1]:+d} s")
    return tally


def _upload(deeds: Deeds, scene: Scene) -> None:
    image_id = deeds.upload_slowly(_LEASE * 1.75)
    if not scene.ledger[image_id].kept:
        image = scene.victim.service.database.find(image_id)
        why = image.status_reason if image else "it is gone"
        scene.ledger.wrong.append(f"{image_id}: an upload that went on was ended: {why}")


@contextmanager
def _clocked(databases: Databases, folder: Path) -> Iterator[tuple[Victim, tuple[Path, Path]]]:
    """Yield a victim of two processes, and the files that hold the errors of their clocks."""
    folder.mkdir(parents=True)
    clocks = (folder / "clock0", folder / "clock1")
    for clock in clocks:
        clock.write_text("+0\n")
    env = {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(clocks[0]),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # setting a clock does not change it either
    }
    with victim(folder / "running", databases.make(), _SETTINGS, {"reuse_port": "true"}, env) as running:
        running.join({"FAKETIME_TIMESTAMP_FILE": str(clocks[1])})
        yield running, clocks


def library() -> str:
    """Return the path of libfaketime, which is installed first if necessary and allowed."""
    for install in (True, False):
        found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
        if found:
            return str(found[0])
        if install:
            apt("libfaketime")
    raise Unavailable("needs the Debian package libfaketime")
