"""`calotype-manage findings`: the problems that fsck and the scrubber found and that are still open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.markup import escape

from calotype.cli.ini import Refusal, ready_database, takes_settings
from calotype.cli.records import print_records, show_time
from calotype.cli.stores import require_store
from calotype.config.plugins import Installed
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.model.findings import Finding, FindingState
from calotype.stores.discovery import DRIVER

_PAGE = 500


@click.command()
@takes_settings()
@click.option("--store", metavar="NAME", help="Only findings in this store.")
@click.option("--lift", metavar="ID", help="Close the finding with this id, instead of listing findings.")
def findings(settings: Settings, store: str | None, lift: str | None) -> None:
    """List the open findings of fsck and the scrubber, oldest first.

    On a terminal the output is text. Otherwise each finding is a JSON object on a line. A later check closes
    a finding when the problem is gone. A lifted finding opens again if a check finds the problem again.
    """
    with ready_database(settings) as database:
        if lift is not None:
            with database.unit() as unit:
                lifted = unit.lift_finding(lift)
            if not lifted:
                raise Refusal(f"there is no open finding '{lift}'")
            click.echo(f"{lift} is lifted")
            return
        if store is not None:
            # The drivers are not loaded, because a driver that fails must not hide the findings.
            configured = settings.stores or (*settings.store_options, *Installed().names(DRIVER))
            require_store(store, {*configured, *database.stores_in_use()})
        print_records(_find(database, store), asdict, _to_text)


def _find(database: Database, store: str | None) -> Iterator[Finding]:
    page = database.findings(FindingState.OPEN, store, _PAGE)
    yield from page.records
    while page.more:
        page = database.findings(FindingState.OPEN, store, _PAGE, page.records[-1])
        yield from page.records


def _to_text(finding: Finding) -> str:
    """Return a finding as lines of text."""
    rows = {
        "image": finding.image_id,
        "subject": finding.subject,
        "detail": finding.detail,
        "found": show_time(finding.found_at),
        "seen": show_time(finding.seen_at),
    }
    lines = [f"  {name:<9}{escape(value)}" for name, value in rows.items() if value]
    return "\n".join([f"[bold]{finding.id}[/]: {finding.kind}, in store '{escape(finding.store)}'", *lines])
