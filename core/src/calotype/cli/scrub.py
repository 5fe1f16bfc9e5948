"""`calotype-manage scrub`: what the scrubber has found, letting it go on, and doing its work by hand."""

from __future__ import annotations

import threading
from contextlib import closing

import click

from calotype.cli.ini import (
    Refusal,
    ini_argument,
    load_settings,
    open_ready,
    refusals,
    takes_ini,
    variables_argument,
)
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.opening import open_database
from calotype.database.scrubs import Scrub


@click.group()
def scrub() -> None:
    """Control the scrubber, which reads stored copies again to find damaged ones."""


@scrub.command()
@takes_ini
def show(ini: str, variables: dict[str, str]) -> None:
    """Print the scrubber's progress with each store. Exit status 1 if a copy is bad, or it has stopped."""
    with refusals(), closing(_open_registry(ini, variables)) as database:
        migrate.require_newest(database.engine)
        _show(database, database.scrubs.all())


@scrub.command()
@takes_ini
@click.option("--store", metavar="NAME", help="Check only this store.")
def run(ini: str, variables: dict[str, str], store: str | None) -> None:
    """Check the copies that are due, once. For use in cron, or to see a result at once.

    The configured rates apply here, too. The exit status is that of `show`.
    """
    with refusals(), closing(open_ready(ini, variables)) as service:
        scrubbers = service.lifecycle.scrubbers(threading.Event(), only=store)
        if not scrubbers:
            raise Refusal(f"there is no store{f' {store!r}' if store else ''} that is scrubbed")
        for scrubber in scrubbers:
            scrubber.run()
        names = {scrubber.store.name for scrubber in scrubbers}
        _show(service.database, [one for one in service.database.scrubs.all() if one.store in names])


@scrub.command()
@ini_argument
@click.argument("store", metavar="STORE")
@variables_argument
def resume(ini: str, store: str, variables: dict[str, str]) -> None:
    """Let the scrubber continue with a store where it stopped, starting with the copies in quarantine."""
    with refusals(), closing(open_ready(ini, variables)) as service:
        if not service.lifecycle.resume_scrub(store):
            raise Refusal(f"the scrubber has not stopped in store '{store}'")
    click.echo(f"store '{store}' is scrubbed again")


def _open_registry(ini: str, variables: dict[str, str]) -> Database:
    return open_database(load_settings(ini, variables), makes_database=False)


def _show(database: Database, scrubs: list[Scrub]) -> None:
    quarantined = database.scrubs.count_quarantined()
    for one in scrubs:
        state = "stopped" if one.stopped else "ended" if one.ended_at else "goes on"
        click.echo(
            f"store '{one.store}': pass of {one.began_at:%Y-%m-%d %H:%M} {state}, {one.checked} checked, "
            f"{one.failed} bad, {quarantined.get(one.store, 0)} in quarantine"
        )
        if one.stopped:
            click.echo(f"store '{one.store}': {one.stopped}")
    if quarantined or any(one.stopped for one in scrubs):
        raise click.exceptions.Exit(1)
