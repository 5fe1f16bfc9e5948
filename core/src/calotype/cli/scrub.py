"""`calotype-manage scrub`: show the scrubber's progress, run it once, and let it continue."""

from __future__ import annotations

import threading

import click

from calotype.cli.ini import Refusal, ready_database, ready_service, takes_settings, takes_word
from calotype.cli.stores import require_store
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.scrubs import Scrub


@click.group(short_help="Show, run and resume the scrubber.")
def scrub() -> None:
    """Control the scrubber, which reads stored copies again to find damaged ones."""


@scrub.command()
@takes_settings()
def show(settings: Settings) -> None:
    """Print the scrubber's progress in each store.

    The exit status is 1 if a copy is in quarantine, or if the scrubber has stopped in a store."""
    with ready_database(settings) as database:
        _show(database, database.scrubs.all())


@scrub.command()
@takes_settings()
@click.option("--store", metavar="NAME", help="Check only this store.")
def run(settings: Settings, store: str | None) -> None:
    """Check the copies that are due, once. Cron can run this.

    A copy is due once in calotype.scrub_period, and ten minutes after its upload at the earliest. Copies
    that are not due are not read; the command `fsck` with --deep reads all of them. The configured rates
    apply here, too. The exit status is that of `show`.
    """
    with ready_service(settings) as service:
        if store is not None:
            require_store(store, service.stores.entries)
        scrubbers = service.lifecycle.scrubbers(threading.Event(), only=store)
        if not scrubbers:
            keys = f"store.{store}.scrub and store.{store}.scrub_rate" if store else "calotype.scrub_rate"
            which = f"the store '{store}' is not scrubbed" if store else "there is no store that is scrubbed"
            raise Refusal(f"{which}: see {keys}")
        for scrubber in scrubbers:
            scrubber.run()
        names = {scrubber.store.name for scrubber in scrubbers}
        _show(service.database, [one for one in service.database.scrubs.all() if one.store in names])


@scrub.command()
@takes_settings(takes_word("store", "STORE"))
def resume(settings: Settings, store: str) -> None:
    """Let the scrubber continue in a store where it has stopped. It begins with the copies in quarantine."""
    with ready_service(settings) as service:
        require_store(store, service.stores.entries)
        if not service.lifecycle.resume_scrub(store):
            raise Refusal(f"the scrubber has not stopped in store '{store}'")
    click.echo(f"store '{store}' is scrubbed again")


def _show(database: Database, scrubs: list[Scrub]) -> None:
    quarantined = database.scrubs.count_quarantined()
    if not scrubs and not quarantined:
        click.echo("no copy has been due yet")
    for one in scrubs:
        state = "stopped" if one.stopped else "ended" if one.ended_at else "unfinished"
        click.echo(
            f"store '{one.store}': pass of {one.began_at:%Y-%m-%d %H:%M} {state}, {one.checked} checked, "
            f"{one.failed} bad, {quarantined.get(one.store, 0)} in quarantine"
        )
        if one.stopped:
            click.echo(f"store '{one.store}': {one.stopped}")
    # `images unquarantine` can put copies in quarantine, too, even in stores that were never scrubbed.
    for name in sorted(quarantined.keys() - {one.store for one in scrubs}):
        click.echo(f"store '{name}': {quarantined[name]} in quarantine")
    if quarantined or any(one.stopped for one in scrubs):
        raise click.exceptions.Exit(1)
