"""What a campaign does: for each database its parts, of which each stands alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign import clocks
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.failing import fail
from tests.faults.campaign.freezing import freeze
from tests.faults.campaign.killing import Tally, cut_off, strike, walk
from tests.faults.campaign.migrating import migrate
from tests.faults.campaign.phases import PHASES
from tests.faults.campaign.rehearsing import rehearse
from tests.faults.campaign.restarting import restart
from tests.faults.campaign.severing import sever

_PHASES = {phase.name: phase for phase in PHASES}


@dataclass(frozen=True)
class Plan:
    """How often each kind of fault happens on one database, in which phases, and by which dice."""

    kills: int
    errors: int
    breaks: int
    cuts: int
    restarts: int
    clocks: int
    freezes: int
    seeds: int
    phases: tuple[str, ...]
    seed: int

    def parts(self, database: str) -> Iterator[Part]:
        """What there is to do on a database, in parts of which each stands alone."""
        server = database != "sqlite"
        for kind, wanted in (("kills", True), ("errors", True), ("breaks", server)):
            if getattr(self, kind) and wanted:
                yield from (Part(self, kind, phase) for phase in self.phases)
        if self.kills:
            yield Part(self, "migration")
            yield Part(self, "anything")
        for kind in ("cuts", "restarts"):
            if getattr(self, kind) and server:
                yield Part(self, kind)
        if self.clocks:
            yield Part(self, "jumps")
            yield Part(self, "deaths")
        for kind in ("freezes", "seeds"):
            if getattr(self, kind):
                yield Part(self, kind)


@dataclass(frozen=True)
class Part:
    """One kind of fault, in one phase where there are phases."""

    plan: Plan
    kind: str
    phase: str = ""

    def carry_out(self, on: Databases, parent: Path) -> Tally:
        """Do it on a database, in a folder of its own."""
        plan, folder = self.plan, parent / f"{on.name} {self.kind} {self.phase}"
        phase = _PHASES.get(self.phase)
        deeds: dict[str, Callable[[], Tally]] = {
            "kills": lambda: walk(phase, on, folder, plan.kills),
            "errors": lambda: fail(phase, on, folder, plan.errors),
            "breaks": lambda: sever(phase, on, folder, plan.breaks),
            "migration": lambda: migrate(on, folder, plan.kills),
            "anything": lambda: strike(on, folder, plan.kills, plan.seed),
            "cuts": lambda: cut_off(on, folder, plan.cuts, plan.seed),
            "restarts": lambda: restart(on.name, folder, plan.restarts, plan.seed),
            "jumps": lambda: clocks.jump(on, folder, plan.clocks, plan.seed),
            "deaths": lambda: clocks.die(on, folder, plan.clocks, plan.seed),
            "freezes": lambda: freeze(on, folder, plan.freezes, plan.seed),
            "seeds": lambda: rehearse(on, folder, plan.seeds),
        }
        return deeds[self.kind]()
