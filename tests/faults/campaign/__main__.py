"""Run the campaign: `make faults`, or `python -m tests.faults.campaign`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from tests.faults.campaign import clocks, databases, tables
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.failing import fail
from tests.faults.campaign.freezing import freeze
from tests.faults.campaign.killing import Tally, cut_off, strike, walk
from tests.faults.campaign.migrating import migrate
from tests.faults.campaign.phases import PHASES, Phase
from tests.faults.campaign.rehearsing import rehearse
from tests.faults.campaign.restarting import restart
from tests.faults.campaign.severing import sever

#: What may be left out: a name, how often it happens if nothing else is said, and what it is.
KINDS = {
    "kills": (1000, "kills, at a call or at any moment"),
    "errors": (400, "calls that fail"),
    "breaks": (300, "connections to the database that break or fall silent"),
    "cuts": (10, "times that all of them are ended, on each server"),
    "restarts": (10, "restarts of each database server, every other one a crash"),
    "clocks": (8, "times that the clocks are set, on each database"),
    "freezes": (10, "times that one of two processes is frozen, on each database"),
    "seeds": (50, "rehearsals of eight clients"),
}


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
    phases: tuple[Phase, ...]
    seed: int

    def carry_out(self, on: Databases, folder: Path) -> Iterator[Tally]:
        """Do all of it on a database."""
        server = on.name != "sqlite"
        for phase in self.phases if self.kills else ():
            yield walk(phase, on, folder / f"kill {phase.name}", self.kills)
        if self.kills:
            yield migrate(on, folder / "migration", self.kills)
            yield strike(on, folder / "anything", self.kills, self.seed)
        for phase in self.phases if self.errors else ():
            yield fail(phase, on, folder / f"fail {phase.name}", self.errors)
        for phase in self.phases if self.breaks and server else ():
            yield sever(phase, on, folder / f"sever {phase.name}", self.breaks)
        if self.cuts and server:
            yield cut_off(on, folder / "cut", self.cuts, self.seed)
        if self.restarts and server:
            yield restart(on.name, folder / "restart", self.restarts, self.seed)
        if self.clocks:
            yield clocks.jump(on, folder / "jump", self.clocks, self.seed)
            yield clocks.die(on, folder / "die", self.clocks, self.seed)
        if self.freezes:
            yield freeze(on, folder / "frozen", self.freezes, self.seed)
        if self.seeds:
            yield rehearse(on, folder / "rehearsal", self.seeds)


def _options(command: click.Command) -> click.Command:
    for kind, (number, what) in reversed(KINDS.items()):
        command = click.option(f"--{kind}", default=number, show_default=True, help=f"About so many {what}.")(
            command
        )
    return command


@click.command()
@_options
@click.option(
    "--database", "names", multiple=True, type=click.Choice(databases.NAMES), help="Only on this one."
)
@click.option("--phase", "only", multiple=True, help="Only in this phase, where there are phases.")
@click.option("--seed", default=0, show_default=True, help="Of the dice that choose moments and deeds.")
def main(names: tuple[str, ...], only: tuple[str, ...], seed: int, **numbers: int) -> None:
    """Let everything fail that can; 0 of a kind leaves it out.

    The exit status is 1 when a promise was broken.
    """
    names = names or databases.NAMES
    phases = tuple(phase for phase in PHASES if not only or phase.name in only)
    walks = len(names) * (len(phases) + 2)  # of kills there are two that are no phases
    servers = max(1, len([name for name in names if name != "sqlite"]))
    shares = {
        "kills": walks,
        "errors": len(names) * len(phases),
        "breaks": servers * len(phases),
        "seeds": len(names),
    }
    each = {kind: -(-number // shares.get(kind, 1)) for kind, number in numbers.items()}
    plan = Plan(**each, phases=phases, seed=seed)
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory(prefix="tintype-faults-") as folder:
        for name in names:
            with databases.running(name) as on:
                for tally in plan.carry_out(on, Path(folder, name)):
                    tallies.append(tally)
                    _tell(tally)
    click.echo(tables.markdown(tallies))
    if any(tally.violations for tally in tallies):
        raise click.exceptions.Exit(1)


def _tell(tally: Tally) -> None:
    click.echo(
        f"{tally.database:9} {tally.phase:32} {tally.times:5} times {len(tally.violations):3} violations"
    )
    for violation in tally.violations:
        click.echo(f"    {violation}")


if __name__ == "__main__":
    main()
