"""Run the campaign: `make faults`, or `python -m tests.faults.campaign`."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import click

from tests.faults.campaign import databases, surroundings, tables
from tests.faults.campaign.cutting import Cut
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import PHASES
from tests.faults.campaign.plan import IN_SURROUNDINGS, OVER_TLS, Plan
from tests.servers.common import run_folder
from tests.support.results import RESULTS, write_page

#: The kinds of faults, each with the number by default and a description.
KINDS = {
    "kills": (1000, "kills, at a call or at any moment"),
    "errors": (400, "calls that fail"),
    "breaks": (300, "connections to the database that break or fall silent"),
    "cuts": (10, "times that all of them are ended, on each server"),
    "restarts": (10, "restarts of each database server, every other one a crash"),
    "clocks": (8, "times that the clocks are set, on each database"),
    "freezes": (10, "times that one of two processes is frozen, on each database, with files and in S3"),
    "damages": (5, "times that four copies rot, and that four vanish, on each database"),
    "outages": (6, "times that a store is unavailable for seconds, on each database"),
    "fills": (6, "times that a disk is filled and emptied, on each database"),
    "uploads": (100, "resumable uploads that are cut off, with files and in each backend"),
    "around": (120, "kills in the surroundings that --in names"),
    "seeds": (50, "rehearsals of eight clients"),
}

#: The text above the table of the page.
_NOTE = "The promises and the faults are described in [Reliability](../reliability.md)."
_SURROUNDINGS = (*surroundings.NAMES, OVER_TLS.name)


def _options(command: click.Command) -> click.Command:
    for kind, (number, what) in reversed(KINDS.items()):
        command = click.option(
            f"--{kind}", default=number, show_default=True, help=f"The approximate number of {what}."
        )(command)
    return command


@click.command()
@_options
@click.option(
    "--database",
    "names",
    multiple=True,
    type=click.Choice(databases.NAMES),
    help="Run only on this database.",
)
@click.option(
    "--in",
    "places",
    multiple=True,
    default=_SURROUNDINGS,
    type=click.Choice(_SURROUNDINGS),
    show_default=True,
    help="Also run with tokens, with images in this store, or with TLS.",
)
@click.option("--phase", "only", multiple=True, help="Run only this phase, for kinds that have phases.")
@click.option("--seed", default=0, show_default=True, help="Seed of the random moments and deeds.")
@click.option(
    "--jobs",
    default=2 * (os.cpu_count() or 1),
    show_default=True,
    help="Phases that run at once: most of the time they wait for leases.",
)
def main(
    names: tuple[str, ...],
    places: tuple[str, ...],
    only: tuple[str, ...],
    seed: int,
    jobs: int,
    **numbers: int,
) -> None:
    """Run the fault campaign. The number 0 leaves a kind of fault out.

    The exit status is 1 if a promise was broken. A run that leaves nothing out, with at least the default
    numbers, writes docs/results/faults.md.
    """
    whole = _is_whole(names, places, only, numbers)
    names = names or databases.NAMES
    phases = tuple(phase for phase in PHASES if not only or phase.name in only)
    each = _shared_out(numbers, names, len(phases), len(places))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(run_folder())
        others = [stack.enter_context(surroundings.running(one)) for one in places if one != OVER_TLS.name]
        plan = Plan(**each, phases=phases, seed=seed, surroundings=tuple(others))
        running = [stack.enter_context(databases.running(name)) for name in names]
        over_tls = [name for name in names if name != "sqlite" and OVER_TLS.name in places]
        running += [stack.enter_context(databases.over_tls(name)) for name in over_tls]
        # Processes, because each calls commands of the operator, which write to the only standard output.
        pool = stack.enter_context(ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")))
        parts = [pool.submit(part) for on in running for part in plan.parts(on, folder / on.name)]
        for done in as_completed(parts):
            _tell(done.result())
    tallies = [part.result() for part in parts]
    table = tables.markdown(tallies)
    click.echo(table)
    if whole:
        violations = [f"- {text}" for tally in tallies for text in tally.violations]
        write_page(
            RESULTS / "faults.md", "The fault campaign", "make faults", _NOTE, table, "\n".join(violations)
        )
    if any(tally.violations for tally in tallies):
        raise click.exceptions.Exit(1)


def _is_whole(
    names: Sequence[str], places: Sequence[str], only: Sequence[str], numbers: Mapping[str, int]
) -> bool:
    """Return whether a run leaves nothing out; only such a run writes the page."""
    everywhere = not only and set(names or databases.NAMES) == set(databases.NAMES)
    often = all(numbers[kind] >= number for kind, (number, _) in KINDS.items())
    return everywhere and set(places) == set(_SURROUNDINGS) and often


def _shared_out(numbers: Mapping[str, int], names: Sequence[str], phases: int, places: int) -> dict[str, int]:
    """Return the number of faults of each kind for each of its parts on each database."""
    servers = max(1, len([name for name in names if name != "sqlite"]))
    shares = {
        "kills": len(names) * (phases + 2),  # migration and `anything` are no phases
        "errors": len(names) * phases,
        "breaks": servers * phases,
        "around": len(names) * max(1, places) * (len(IN_SURROUNDINGS) + 1),  # and everything at once
        "uploads": len(names) * len(Cut),
        "seeds": len(names),
    }
    return {kind: -(-number // shares.get(kind, 1)) for kind, number in numbers.items()}


def _tell(tally: Tally) -> None:
    click.echo(
        f"{tally.database:9} {tally.phase:32} {tally.times:5} times {len(tally.violations):3} violations"
    )
    for violation in tally.violations:
        click.echo(f"    {violation}")


if __name__ == "__main__":
    main()
