"""Freezes: a process stands still for longer than its leases last, and goes on as if nothing had been.

So does a machine that is moved, or short of memory. Meanwhile another process took it for dead: what
the frozen one was about to do must fail, and what it had done must stand.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path

from tests.faults.campaign.clients import Client
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import Scene
from tests.faults.campaign.victim import LEASE, pause, victim

_CLIENTS = 6
_SETTINGS = {"calotype.sweep_interval": "0.25"}


def freeze(databases: Databases, folder: Path, times: int, seed: int = 0) -> Tally:
    """Freeze one of two processes under six clients, and let it go on."""
    tally = Tally("anything: frozen beyond its leases", databases.name)
    dice = random.Random(seed)
    with victim(folder, databases.make(), _SETTINGS, {"reuse_port": "true"}) as running:
        running.join()
        scene = Scene(running, seed)
        for _ in range(times):
            clients = [Client(running, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
            for client in clients:
                client.start()
            moment = dice.uniform(0.1, 1.0)
            pause(moment)
            running.process.send_signal(signal.SIGSTOP)
            pause(LEASE * 2.5)
            running.process.send_signal(signal.SIGCONT)
            pause(0.3)
            for client in clients:
                client.end.set()
            for client in clients:
                client.join()
            tally.add(scene.judge(), f"{moment:.3f} s")
    return tally
