"""Rehearsals: many clients of two processes, without a fault, and every response is as predicted.

Each client changes only its own images, one step after the other, so that a model of each image predicts the
responses. All clients read and copy the images of all others. Both processes sweep.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.campaign.clients import Client, Deeds
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import Scene
from tests.faults.campaign.victim import victim

CLIENTS = 8
_DEEDS = 15
#: A lease that does not expire on a busy machine.
_SETTINGS = {"calotype.lease": "30", "calotype.sweep_interval": "0.25"}
#: The promise that each deed on a client's own image must result in.
_PROMISED = {
    Deeds.upload: "kept",
    Deeds.upload_chunked: "kept",
    Deeds.upload_to_queued: "kept",
    Deeds.stage: "staged",
    Deeds.import_staged: "importing",
    Deeds.copy_from: "importing",
    Deeds.delete: "deleted",
}


def rehearse(databases: Databases, folder: Path, seeds: int) -> Tally:
    """Let eight clients do random deeds, `seeds` times."""
    tally = Tally(f"{CLIENTS} clients, 2 processes", databases.name)
    with victim(folder, databases.make(), _SETTINGS, {"reuse_port": "true"}) as running:
        running.join()
        for seed in range(seeds):
            scene = Scene(running, seed)
            dice = random.Random(seed)
            clients = [_Careful(scene, dice.getrandbits(32)) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            tally.add(scene.judge(), f"seed {seed}")
    return tally


class _Careful(Client):
    """A client that compares each response with the model of its own images."""

    def __init__(self, scene: Scene, seed: int):
        super().__init__(scene.victim, scene.ledger, seed)
        self._scene = scene

    def run(self) -> None:
        """Do a number of deeds, and look at an image after each."""
        try:
            for _ in range(_DEEDS):
                deed = self._dice.choice(self._ALL)
                self._check(deed, deed(self._deeds))
                self._look()
        except Exception as error:  # nothing may go wrong here
            self._scene.ledger.wrong.append(f"a client failed: {error!r}")

    def _check(self, deed: object, image_id: str | None) -> None:
        promised = _PROMISED.get(deed)
        if image_id and promised and not getattr(self._scene.ledger[image_id], promised):
            self._scene.ledger.wrong.append(f"{image_id}: {deed.__name__} was refused")
        if image_id and deed is Deeds.rename and len(self._scene.ledger[image_id].names) != 1:
            self._scene.ledger.wrong.append(f"{image_id}: a change of its name was refused")

    def _look(self) -> None:
        image_id = self._deeds.own()
        if image_id is None:
            return
        promise = self._scene.ledger[image_id]
        answer = self._scene.victim.get(f"/images/{image_id}")
        expected = 404 if promise.deleted else 200
        if promise.deleted or promise.kept:
            if answer.status != expected:
                self._scene.ledger.wrong.append(f"{image_id}: {answer.status} where {expected} was due")
            elif promise.kept and not promise.deleted:
                right = answer.body == promise.body and answer.meta["name"] in promise.names
                if not right:
                    self._scene.ledger.wrong.append(f"{image_id}: other bytes or another name came back")
