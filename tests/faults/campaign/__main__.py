"""Run the campaign: `make faults`, or `python -m tests.faults.campaign`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tests.faults.campaign import databases
from tests.faults.campaign.killing import Tally, cut_off, strike, walk
from tests.faults.campaign.migrating import migrate
from tests.faults.campaign.phases import PHASES

#: How often the database is cut off, on each server.
_CUTS = 10


@click.command()
@click.option(
    "--kills", default=1000, show_default=True, help="About so many, over all phases and databases."
)
@click.option(
    "--database", "names", multiple=True, type=click.Choice(databases.NAMES), help="Only on this one."
)
@click.option("--phase", "only", multiple=True, help="Only in this phase.")
@click.option("--seed", default=0, show_default=True, help="Of the dice that choose moments and deeds.")
def main(kills: int, names: tuple[str, ...], only: tuple[str, ...], seed: int) -> None:
    """Kill a server at every point of what it does; the exit status is 1 when a promise was broken."""
    names = names or databases.NAMES
    phases = [phase for phase in PHASES if not only or phase.name in only]
    anything = not only or "anything" in only
    cuts = not only or "cut off" in only
    migration = not only or "migration" in only
    share = max(1, kills // (len(names) * max(1, len(phases) + migration + anything)))
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory(prefix="tintype-faults-") as folder:
        for name in names:
            with databases.running(name) as running:
                for phase in phases:
                    _tell(
                        tallies, walk(phase, running, Path(folder, name, phase.name.replace(" ", "-")), share)
                    )
                if migration:
                    _tell(tallies, migrate(running, Path(folder, name, "migration"), share))
                if cuts and name != "sqlite":
                    _tell(tallies, cut_off(running, Path(folder, name, "cut"), _CUTS, seed))
                if anything:
                    _tell(tallies, strike(running, Path(folder, name, "anything"), share, seed))
    _sum_up(tallies)


def _tell(tallies: list[Tally], tally: Tally) -> None:
    tallies.append(tally)
    click.echo(
        f"{tally.database:9} {tally.phase:24} {tally.times:5} times {len(tally.violations):3} violations"
    )
    for violation in tally.violations:
        click.echo(f"    {violation}")


def _sum_up(tallies: list[Tally]) -> None:
    violations = sum(len(tally.violations) for tally in tallies)
    click.echo(f"{sum(tally.times for tally in tallies)} times, {violations} violations")
    if violations:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
