"""`calotype-manage findings`: what fsck and the scrubber found and what is still wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calotype.app import open_registry
from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.registry import Finding, FindingState, Registry, schema

_PAGE = 500


@click.command()
@takes_ini
@click.option("--store", metavar="NAME", help="Those in this store only.")
@click.option("--lift", metavar="ID", help="End the finding with this id, instead of listing them.")
def findings(ini: str, variables: dict[str, str], store: str | None, lift: str | None) -> None:
    """List what fsck or the scrubber found wrong and what is so still, oldest first.

    A table on a terminal; elsewhere each finding is a JSON object on a line. A later check that
    finds nothing wrong closes a finding. One that is lifted opens again when a check sees it again.
    """
    with refusals():
        registry = open_registry(load_settings(ini, variables))
        try:
            schema.require_newest(registry.engine, ini)
            if lift is not None:
                _lift(registry, lift)
            else:
                _show(_open(registry, store))
        finally:
            registry.close()


def _lift(registry: Registry, finding_id: str) -> None:
    with registry.unit() as unit:
        lifted = unit.lift_finding(finding_id)
    if not lifted:
        raise Refusal(f"there is no open finding '{finding_id}'")
    click.echo(f"{finding_id} is lifted")


def _open(registry: Registry, store: str | None) -> Iterator[Finding]:
    page = registry.findings(FindingState.OPEN, store, _PAGE)
    yield from page.findings
    while page.more:
        page = registry.findings(FindingState.OPEN, store, _PAGE, page.findings[-1])
        yield from page.findings


def _show(found: Iterator[Finding]) -> None:
    console = Console()
    if not console.is_terminal:
        for finding in found:
            click.echo(json.dumps(asdict(finding), default=str))
        return
    table = Table("id", "kind", "store", "image", "subject", "detail", "found", "seen", box=None)
    for finding in found:
        row = [finding.id, finding.kind, finding.store, finding.image_id or "", finding.subject]
        times = [f"{at:%F %R}" for at in (finding.found_at, finding.seen_at)]
        table.add_row(*map(escape, [*row, finding.detail, *times]))
    console.print(table if table.row_count else "nothing is wrong")
