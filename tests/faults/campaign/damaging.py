"""Damage at rest: flip bits of stored copies or remove their files, while clients use other images.

A damaged copy is restored if the image has a good copy elsewhere. Otherwise the image is flagged and not
served, and the rest of the copy stays until an operator restores the bytes. fsck and the scrubber find
exactly these copies.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from calotype.model.findings import FindingKind, FindingState
from tests.faults.campaign.clients import Client
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.ledger import Ledger
from tests.faults.campaign.phases import Scene, age, await_jobs, flip, order_copy
from tests.faults.campaign.verdict import judge
from tests.faults.campaign.victim import Victim, pause, victim

_CLIENTS = 3
_SETTINGS = {"calotype.sweep_interval": "0.25", "calotype.scrub_rate": "1GiB"}
#: The time limit for the scrubber in seconds, also on a busy machine.
_PATIENCE = 60
_READS = ("/images/{}", "/v1/images/{}", "/v2/images/{}/file")
_TITLES = {
    FindingKind.WRONG_DIGEST: "anything: bits of copies flip",
    FindingKind.MISSING: "anything: copies vanish",
}


@dataclass(frozen=True)
class Damaged:
    """A damaged copy, with the former content of its file; `alone`: its image has no other copy."""

    image_id: str
    store: str
    path: Path
    good: bytes
    alone: bool

    def __str__(self) -> str:
        return f"{self.image_id} in {self.store}"


def damage(kind: FindingKind, databases: Databases, folder: Path, times: int, seed: int = 0) -> Tally:
    """Damage four copies in this way, and have them found and restored, `times` times."""
    tally = Tally(_TITLES[kind], databases.name)
    dice = random.Random(seed)
    with victim(folder, databases.make(), _SETTINGS) as running:
        scene, others = Scene(running, seed), Ledger()
        for _ in range(times):
            copies = list(_copies(scene, dice))
            clients = [Client(running, others, dice.getrandbits(32)) for _ in range(_CLIENTS)]
            for client in clients:
                client.start()
            for copy in copies:
                flip(copy.path) if kind is FindingKind.WRONG_DIGEST else copy.path.unlink()
            found = [*_Round(running, kind, copies).run()]
            for client in clients:
                client.end.set()
            for client in clients:
                client.join()
            found += scene.judge() + judge(running, others, time.monotonic())
            tally.add(found, ", ".join(str(copy) for copy in copies))
    return tally


def _copies(scene: Scene, dice: random.Random) -> Iterator[Damaged]:
    """Yield copies of four new images. Two are the only ones, which is too few to stop the scrubber."""
    for alone in (True, True, False, False):
        image_id = scene.deeds.upload()
        if not alone:
            order_copy(scene, image_id)
            await_jobs(scene, image_id)
        store = "fast" if alone else dice.choice(("fast", "cold"))
        (path,) = scene.victim.blobs(image_id, store)
        yield Damaged(image_id, store, path, path.read_bytes(), alone)


@dataclass(frozen=True)
class _Round:
    """The checks of copies that were just damaged; each method yields what is wrong."""

    running: Victim
    kind: FindingKind
    copies: list[Damaged]

    def run(self) -> Iterator[str]:
        """Have the copies found, scrubbed and restored."""
        left = {copy: _held(copy.path) for copy in self.copies}
        if self.kind is FindingKind.MISSING:  # flipped bits are served until the scrubber reads them
            yield from self._read()
        yield from self._fsck()
        yield from self._scrub()
        yield from self._read()
        for copy in self.copies:
            if copy.alone and _held(copy.path) != left[copy]:
                yield f"{copy}: the rest of the only copy was changed"
        for copy in self.copies:
            yield from self._bring_back(copy) if copy.alone else self._look_for_restored(copy)

    def _read(self) -> Iterator[str]:
        """Check that an image with a good copy is served, and that any other is 5xx, not 404 or bad bytes."""
        for copy in self.copies:
            for path in _READS:
                got = self.running.get(path.format(copy.image_id))
                right = got.status >= 500 if copy.alone else (got.status, got.body) == (200, copy.good)
                if not right:
                    yield f"{copy}{' alone' * copy.alone}: GET {path} is {got.status} {got.text[:100]}"

    def _fsck(self) -> Iterator[str]:
        """Check that fsck names these copies and no others."""
        _, said = self.running.run("fsck", "--deep=100GB", "--window=0")
        problems = [json.loads(line) for line in said.splitlines()[:-1]]
        seen = {(one["image_id"], one["store"], one["fault"]) for one in problems}
        yield from self._compare("fsck", seen, lambda copy: True)

    def _scrub(self) -> Iterator[str]:
        """Check that the scrubber restores the copies that it can, and flags the others and nothing else."""
        age(self.running)
        database, end = self.running.service.database, time.monotonic() + _PATIENCE
        while True:
            _, said = self.running.run("scrub", "run")
            findings = database.findings(FindingState.OPEN).records
            seen = {(one.image_id, one.store, one.kind) for one in findings}
            wrong = list(self._compare("scrub run", seen, lambda copy: copy.alone))
            if not wrong or time.monotonic() > end:
                yield from wrong and [*wrong, said]
                return
            pause(0.2)

    def _compare(
        self, what: str, seen: set[tuple[str, str, str]], which: Callable[[Damaged], bool]
    ) -> Iterator[str]:
        due = {(copy.image_id, copy.store, self.kind) for copy in self.copies if which(copy)}
        yield from (f"{what} does not name {one}" for one in due - seen)
        yield from (f"{what} names {one}, where nothing is wrong" for one in seen - due)

    def _look_for_restored(self, copy: Damaged) -> Iterator[str]:
        held = [_held(path) for path in self.running.blobs(copy.image_id, copy.store)]
        if held != [copy.good]:
            yield f"{copy}: it was not restored: {[one and len(one) for one in held]}"

    def _bring_back(self, copy: Damaged) -> Iterator[str]:
        """Restore the bytes like an operator with a backup."""
        copy.path.write_bytes(copy.good)
        status, said = self.running.run("images", "unquarantine", of=copy.image_id)
        if status or "right" not in said:
            yield f"{copy}: images unquarantine: {said}"


def _held(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
