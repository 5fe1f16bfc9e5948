"""`calotype-manage audit`: list the records of changes to images."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
from rich.markup import escape

from calotype.cli.ini import ready_database, takes_settings
from calotype.cli.records import print_records, show_time
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.model.audit import AuditQuery, AuditRecord, AuditVerb
from calotype.model.fields import canonical_id

_PAGE = 500


def _read_time(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"it must be an ISO 8601 date or time, such as 2026-01-31T12:00, not {text!r}"
        ) from None


def _read_id(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    image_id = None if text is None else canonical_id(text)
    if text is not None and image_id is None:
        raise click.BadParameter(f"it must be the id of an image, not {text!r}")
    return image_id


def _read_verb(context: click.Context, parameter: click.Parameter, text: str | None) -> AuditVerb | None:
    return None if text is None else AuditVerb(text)


@click.command()
@takes_settings()
@click.option("--image", "image_id", metavar="ID", callback=_read_id, help="Only changes of this image.")
@click.option("--user", metavar="NAME", help="Only changes by this user.")
@click.option("--project", metavar="NAME", help="Only changes by users of this project.")
@click.option(
    "--since", metavar="TIME", callback=_read_time, help="Only changes since this ISO 8601 time (UTC)."
)
@click.option(
    "--verb",
    type=click.Choice([str(verb) for verb in AuditVerb]),
    callback=_read_verb,
    help="Only changes of this kind.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object on each line, even on a terminal.")
def audit(settings: Settings, *, as_json: bool, **asked: Any) -> None:
    """List who changed which image, newest first.

    On a terminal the output is text. Otherwise each record is a JSON object on a line. The database keeps
    records for calotype.audit_retention. Refused requests are in the log only.
    """
    with ready_database(settings) as database:
        found = _find(database, AuditQuery(**asked, limit=_PAGE))
        print_records(found, AuditRecord.to_json, to_text, as_json=as_json)


def _find(database: Database, query: AuditQuery) -> Iterator[AuditRecord]:
    page = database.audit.page(query)
    yield from page.records
    while page.more:
        page = database.audit.page(replace(query, before=page.records[-1].id))
        yield from page.records


def to_text(record: AuditRecord) -> str:
    """Return a record as a line of text: the time, the user, the change and its outcome."""
    actor = record.actor
    who = f"{actor.user or '-'} of {actor.project or '-'} ({actor.origin.agent})"
    detail = f": {record.detail}" if record.detail else ""
    text = f"{show_time(record.at)}  {who}  {record.verb} {record.image_id or '-'}  {record.outcome}{detail}"
    return escape("".join(character if character.isprintable() else "?" for character in text))
