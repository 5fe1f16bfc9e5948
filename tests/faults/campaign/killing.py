"""Kills: at each system call of a phase, and at any moment of a busy server."""

from __future__ import annotations

import collections
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.faults.campaign.clients import Client
from tests.faults.campaign.databases import CALLS, Databases, cut
from tests.faults.campaign.phases import Phase, Scene, opened
from tests.faults.campaign.strace import KILL, Injection, attached, counting
from tests.faults.campaign.surroundings import PLAIN, Surroundings
from tests.faults.campaign.victim import pause

#: The calls by which bytes reach a file store, leave it, and responses reach clients.
_FILES = (
    "openat",
    "mkdirat",
    "write",
    "pwrite64",
    "ftruncate",
    "fchmod",
    "linkat",
    "fsync",
    "unlinkat",
    "sendto",
)
#: Kills after which the victim gets an empty database and empty stores.
FRESH = 40
_CLIENTS = 4

_T = TypeVar("_T")


@dataclass
class Tally:
    """The faults of one phase on one database: their number, and the promises that they broke."""

    phase: str
    database: str
    times: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, violations: list[str], where: object) -> None:
        """Count one more fault, with the violations found after it."""
        self.times += 1
        self.violations += [f"{self.phase} on {self.database}, at {where}: {one}" for one in violations]


def walk(
    phase: Phase,
    databases: Databases,
    folder: Path,
    most: int,
    calls: tuple[str, ...] | None = None,
    surroundings: Surroundings = PLAIN,
) -> Tally:
    """Kill the server before each call of the phase: all of them, or `most` at even distances."""
    tally = Tally(surroundings.title(f"{phase.name}: killed"), databases.name)
    calls = calls or tuple(dict.fromkeys((*_FILES, *CALLS[databases.name])))
    with opened(databases, folder / "counted", phase.settings, surroundings, phase.settle) as scene:
        counted = count(phase, scene, calls, folder / "calls")
    points = spread([(call, number) for call in calls for number in range(1, counted[call] + 1)], most)
    for start in range(0, len(points), FRESH):
        with opened(databases, folder / f"from{start}", phase.settings, surroundings, phase.settle) as scene:
            for call, number in points[start : start + FRESH]:
                scene.do(phase.prepare)
                with attached(scene.victim.process.pid, Injection((call,), KILL, str(number))):
                    scene.do(phase.deed)
                    died = scene.victim.await_death(0.3)
                if died:
                    tally.add(scene.restart(), f"{call} {number}")
    return tally


def spread(points: list[_T], most: int) -> list[_T]:
    """Return all points, or `most` of them at even distances."""
    count = min(most, len(points))
    return [points[number * len(points) // count] for number in range(count)]


def count(phase: Phase, scene: Scene, calls: tuple[str, ...], log: Path) -> collections.Counter[str]:
    """Return the largest number of each call that one thread makes in the phase."""
    scene.do(phase.prepare)
    with counting(scene.victim.process.pid, calls, log) as most:
        scene.do(phase.deed)
        scene.victim.await_death(0.3)
    return most


def strike(
    databases: Databases, folder: Path, kills: int, seed: int, surroundings: Surroundings = PLAIN
) -> Tally:
    """Kill a server that is busy with everything at once, at random moments."""
    tally = Tally(surroundings.title("anything: killed"), databases.name)
    dice = random.Random(seed)
    for start in range(0, kills, FRESH):
        with opened(databases, folder / f"from{start}", surroundings=surroundings) as scene:
            for _ in range(min(FRESH, kills - start)):
                clients = [Client(scene.victim, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
                for client in clients:
                    client.start()
                moment = dice.uniform(0.01, 0.8)
                pause(moment)
                scene.victim.kill()
                for client in clients:
                    client.join()
                tally.add(scene.restart(), f"{moment:.3f} s")
    return tally


def cut_off(databases: Databases, folder: Path, times: int, seed: int) -> Tally:
    """End all connections to the database of a busy server, three times in a row, at random moments."""
    tally = Tally("anything: database cut off", databases.name)
    dice = random.Random(seed)
    with opened(databases, folder, {"calotype.lease": "2"}) as scene:
        url = scene.victim.service.database.engine.url.render_as_string(hide_password=False)
        for _ in range(times):
            clients = [Client(scene.victim, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
            for client in clients:
                client.start()
            for _ in range(3):
                pause(dice.uniform(0.05, 0.5))
                cut(url)
            for client in clients:
                client.end.set()
                client.join()
            pause(2)  # the longer lease
            tally.add(scene.judge(), "any moment")
    return tally
