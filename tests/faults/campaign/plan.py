"""The plan of a campaign on one database, in independent parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from calotype.model.findings import FindingKind
from tests.faults.campaign import clocks
from tests.faults.campaign.cutting import Cut, cut
from tests.faults.campaign.damaging import damage
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.failing import fail
from tests.faults.campaign.filling import fill
from tests.faults.campaign.freezing import freeze
from tests.faults.campaign.killing import Tally, cut_off, strike, walk
from tests.faults.campaign.leaving import hang, unmount
from tests.faults.campaign.migrating import migrate
from tests.faults.campaign.phases import Phase
from tests.faults.campaign.rehearsing import rehearse
from tests.faults.campaign.restarting import restart
from tests.faults.campaign.severing import sever
from tests.faults.campaign.surroundings import PLAIN, Surroundings

#: The phases that are also run in other surroundings.
IN_SURROUNDINGS = ("upload, chunked", "delete", "copy")
#: Stands for a database over TLS.
OVER_TLS = Surroundings("database over TLS")


@dataclass(frozen=True)
class Plan:
    """The number of faults of each kind on one database, the phases, and the seed."""

    kills: int
    errors: int
    breaks: int
    cuts: int
    restarts: int
    clocks: int
    freezes: int
    damages: int
    outages: int
    fills: int
    around: int
    uploads: int
    seeds: int
    phases: tuple[Phase, ...]
    seed: int
    surroundings: tuple[Surroundings, ...] = ()

    def parts(self, on: Databases, folder: Path) -> Iterator[Callable[[], Tally]]:
        """Yield the parts of the campaign on a database, which any process may run at any time."""
        if on.ca:
            yield from self._in(OVER_TLS, on, folder / "tls")
            return
        for one in self.surroundings:
            yield from self._in(one, on, folder / one.name)
        server = on.name != "sqlite"
        for phase in self.phases if self.kills else ():
            yield partial(walk, phase, on, folder / f"kill {phase.name}", self.kills)
        if self.kills:
            yield partial(migrate, on, folder / "migration", self.kills)
            yield partial(strike, on, folder / "anything", self.kills, self.seed)
        for phase in self.phases if self.errors else ():
            yield partial(fail, phase, on, folder / f"fail {phase.name}", self.errors)
        for phase in self.phases if self.breaks and server else ():
            yield partial(sever, phase, on, folder / f"sever {phase.name}", self.breaks)
        if self.cuts and server:
            yield partial(cut_off, on, folder / "cut", self.cuts, self.seed)
        if self.restarts and server:
            yield partial(restart, on.name, folder / "restart", self.restarts, self.seed)
        if self.clocks:
            yield partial(clocks.jump, on, folder / "jump", self.clocks, self.seed)
            yield partial(clocks.die, on, folder / "die", self.clocks, self.seed)
        if self.freezes:
            yield partial(freeze, on, folder / "frozen", self.freezes, self.seed)
            for one in self.surroundings:
                if one.s3:
                    yield partial(freeze, on, folder / f"frozen {one.name}", self.freezes, self.seed, one)
        if self.damages:
            rot, loss = FindingKind.WRONG_DIGEST, FindingKind.MISSING
            yield partial(damage, rot, on, folder / "rot", self.damages, self.seed)
            yield partial(damage, loss, on, folder / "loss", self.damages, self.seed)
        if self.fills and os.geteuid() == 0:  # only root may mount a disk
            yield partial(fill, on, folder / "full", self.fills, self.seed)
        if self.outages:
            yield partial(unmount, on, folder / "unmounted", self.outages, self.seed)
        for one in self.surroundings if self.outages else ():
            if one.s3 and one.over_http:
                yield partial(hang, on, folder / f"hanging {one.name}", self.outages, one, self.seed)
        yield from self._cuts(on, folder / "uploads")
        if self.seeds:
            yield partial(rehearse, on, folder / "rehearsal", self.seeds)

    def _cuts(self, on: Databases, folder: Path) -> Iterator[Callable[[], Tally]]:
        """Yield cuts of resumable uploads: to files, and to each backend."""
        backends = [one for one in self.surroundings if one.over_http]
        for one in (PLAIN, *backends) if self.uploads else ():
            for how in Cut:
                where = folder / f"{one.name} {how.name}"
                yield partial(cut, how, on, where, self.uploads, self.seed, surroundings=one)

    def _in(self, surroundings: Surroundings, on: Databases, folder: Path) -> Iterator[Callable[[], Tally]]:
        """Yield kills in other surroundings: in some phases, and during everything at once."""
        if not self.around:
            return
        for phase in (one for one in self.phases if one.name in IN_SURROUNDINGS):
            kills = partial(walk, phase, on, folder / phase.name, self.around)
            yield partial(kills, surroundings=surroundings)
        yield partial(strike, on, folder / "anything", self.around, self.seed, surroundings)
