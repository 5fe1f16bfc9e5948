"""`calotype-manage audit`: who changed which image."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from calotype.cli.ini import load_settings, refusals, takes_ini
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.opening import open_database
from calotype.model.audit import AuditQuery, AuditRecord, AuditVerb
from calotype.model.changes import canonical_id

_PAGE = 500


def _read_time(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter("it must be an ISO 8601 date or time, such as 2026-01-31T12:00") from None


def _read_id(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and canonical_id(text) is None:
        raise click.BadParameter("it must be the id of an image")
    return None if text is None else canonical_id(text)


@click.command()
@takes_ini
@click.option("--image", metavar="ID", callback=_read_id, help="Only changes of this image.")
@click.option("--user", metavar="NAME", help="Only changes by this user.")
@click.option("--project", metavar="NAME", help="Only changes by users of this project.")
@click.option(
    "--since", metavar="TIME", callback=_read_time, help="Only changes since this ISO 8601 time (UTC)."
)
@click.option(
    "--verb", type=click.Choice([str(verb) for verb in AuditVerb]), help="Only changes of this kind."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object on each line, even on a terminal.")
def audit(
    ini: str,
    variables: dict[str, str],
    image: str | None,
    user: str | None,
    project: str | None,
    since: datetime.datetime | None,
    verb: str | None,
    *,
    as_json: bool,
) -> None:
    """List who changed which image, newest first.

    On a terminal the output is for people; elsewhere each record is a JSON object on a line. The database
    keeps records for calotype.audit_retention. Refused requests are in the log only.
    """
    chosen = AuditVerb(verb) if verb else None
    listing = AuditQuery(image, user, project, chosen, since, limit=_PAGE)
    with refusals():
        database = open_database(load_settings(ini, variables), makes_database=False)
        try:
            migrate.require_newest(database.engine)
            _show(_listed(database, listing), as_json=as_json)
        finally:
            database.close()


def _listed(database: Database, listing: AuditQuery) -> Iterator[AuditRecord]:
    page = database.audit.page(listing)
    yield from page.records
    while page.more:
        page = database.audit.page(replace(listing, before=page.records[-1].id))
        yield from page.records


def _show(found: Iterator[AuditRecord], *, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for record in found:
        if as_json or not console.is_terminal:
            click.echo(json.dumps(record.to_json()))
        else:
            console.print(_sentence(record))


def _sentence(record: AuditRecord) -> str:
    """One record as a line for people: when, who, what, how it ended."""
    actor = record.actor
    who = f"{actor.user or '-'} of {actor.project or '-'} ({actor.origin.agent})"
    detail = f": {record.detail}" if record.detail else ""
    told = f"{record.at:%F %T}Z  {who}  {record.verb} {record.image_id or '-'}  {record.outcome}{detail}"
    return escape("".join(one if one.isprintable() else "?" for one in told))
