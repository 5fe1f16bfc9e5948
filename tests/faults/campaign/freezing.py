"""Freezes: stop a process for longer than its leases last, and let it continue.

A machine that is migrated or short of memory behaves like this. Meanwhile another process considers the
frozen one dead: the changes that it was about to make must fail, and those that it has made must remain.
The uploads that it was receiving are answered as taken over.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from calotype.model.states import Status
from tests.faults.campaign.clients import Client, Deeds
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.ledger import Promise
from tests.faults.campaign.phases import Scene
from tests.faults.campaign.surroundings import PLAIN, Surroundings
from tests.faults.campaign.victim import LEASE, pause, victim

_CLIENTS = 6
_SETTINGS = {"calotype.sweep_interval": "0.25"}
#: The number of uploads that are half sent when their process is frozen.
_HALF = 3
#: Seconds for which a process is frozen, and how often, until a sweep has taken over its uploads.
_STILL, _TRIES = LEASE * 2.5, 4
_TAKEN_OVER = "taken over by a sweep"


def freeze(
    databases: Databases, folder: Path, times: int, seed: int = 0, surroundings: Surroundings = PLAIN
) -> Tally:
    """Freeze one of two processes under nine clients, and let it continue."""
    tally = Tally(surroundings.title("anything: frozen beyond its leases"), databases.name)
    dice, taken_over = random.Random(seed), 0
    server = {"reuse_port": "true"}
    with victim(folder, databases.make(), _SETTINGS, server, surroundings=surroundings) as running:
        scene = Scene(running, seed)
        for number in range(times):
            if number:
                running.kill_all()
                running.start()
            halves = [_HalfUpload(scene, dice.getrandbits(32)) for _ in range(_HALF)]
            for upload in halves:
                upload.start()
            # The first process has all uploads begun so far; later ones may reach either process.
            scene.await_that(lambda halves=halves: all(upload.is_under_way(scene) for upload in halves))
            running.join()
            moment = dice.uniform(0.1, 1.0)
            _freeze(scene, halves, moment, dice)
            for upload in halves:
                upload.join()
            taken_over += sum(_is_taken_over(upload.promise) for upload in halves)
            found = [wrong for upload in halves for wrong in _wrong(upload.promise)]
            tally.add([*found, *scene.judge()], f"{moment:.3f} s")
    if times > 2 and not taken_over:
        tally.violations.append(f"{tally.phase} on {tally.database}: no sweep took an upload over")
    return tally


def _freeze(scene: Scene, halves: list[_HalfUpload], moment: float, dice: random.Random) -> None:
    """Freeze the first process until its uploads are taken over, under clients of both.

    A process that is stopped within a transaction keeps SQLite locked. It is continued then, and stopped
    again.
    """
    clients = [Client(scene.victim, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    pause(moment)
    for _ in range(_TRIES):
        scene.victim.process.send_signal(signal.SIGSTOP)
        pause(_STILL)
        ended = not any(upload.is_under_way(scene) for upload in halves)
        scene.victim.process.send_signal(signal.SIGCONT)
        if ended:
            break
        pause(dice.uniform(0.01, 0.1))
    for upload in halves:
        upload.go_on.set()
    pause(0.3)
    for client in clients:
        client.end.set()
    for client in clients:
        client.join()


class _HalfUpload(threading.Thread):
    """An upload that is under way while its process is frozen."""

    def __init__(self, scene: Scene, seed: int):
        super().__init__()
        self._deeds = Deeds(scene.victim, scene.ledger, random.Random(seed))
        self._ledger = scene.ledger
        self.go_on = threading.Event()

    def run(self) -> None:
        self._deeds.upload_in_halves(self.go_on)

    @property
    def promise(self) -> Promise:
        return self._ledger[self._deeds.own()]

    def is_under_way(self, scene: Scene) -> bool:
        """Return whether the upload was recorded, and not taken over since."""
        image_id = self._deeds.own()
        image = scene.victim.service.database.find(image_id) if image_id else None
        return image is not None and image.status is Status.SAVING


def _is_taken_over(promise: Promise) -> bool:
    return promise.answer is not None and _TAKEN_OVER in promise.answer.text


def _wrong(promise: Promise) -> Iterator[str]:
    """Yield what is wrong. An upload is kept if a sweep comes too late to take it over."""
    answer = promise.answer
    if answer is None:
        yield "an upload was not answered"
    elif not promise.kept and (answer.status != 503 or not _is_taken_over(promise)):
        yield f"an upload of the frozen process was answered {answer.status} {answer.text[:200]}"
