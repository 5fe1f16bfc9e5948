"""`calotype-manage findings`: what fsck and the scrubber found and what is still wrong."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.opening import open_database
from calotype.model.findings import Finding, FindingState

_PAGE = 500


@click.command()
@takes_ini
@click.option("--store", metavar="NAME", help="Only findings in this store.")
@click.option("--lift", metavar="ID", help="Close the finding with this id, instead of listing findings.")
def findings(ini: str, variables: dict[str, str], store: str | None, lift: str | None) -> None:
    """List the open findings of fsck and the scrubber, oldest first.

    On a terminal the output is for people; elsewhere each finding is a JSON object on a line. A later
    check closes a finding when the problem is gone. A lifted finding opens again if a check sees it again.
    """
    with refusals():
        database = open_database(load_settings(ini, variables), makes_database=False)
        try:
            migrate.require_newest(database.engine)
            if lift is not None:
                _lift(database, lift)
            else:
                _show(_open(database, store))
        finally:
            database.close()


def _lift(database: Database, finding_id: str) -> None:
    with database.unit() as unit:
        lifted = unit.lift_finding(finding_id)
    if not lifted:
        raise Refusal(f"there is no open finding '{finding_id}'")
    click.echo(f"{finding_id} is lifted")


def _open(database: Database, store: str | None) -> Iterator[Finding]:
    page = database.findings(FindingState.OPEN, store, _PAGE)
    yield from page.findings
    while page.more:
        page = database.findings(FindingState.OPEN, store, _PAGE, page.findings[-1])
        yield from page.findings


def _show(found: Iterator[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        for finding in found:
            click.echo(json.dumps(asdict(finding), default=str))
        return
    for finding in found:
        lines = Table.grid(padding=(0, 2))
        for name in ("image_id", "subject", "detail", "found_at", "seen_at"):
            value = getattr(finding, name)
            shown = f"{value:%F %R} UTC" if isinstance(value, datetime.datetime) else value
            if shown:
                lines.add_row(f"  {name.partition('_')[0]}", escape(shown))
        console.print(f"[bold]{finding.id}[/]: {finding.kind}, in store '{escape(finding.store)}'")
        console.print(lines)
