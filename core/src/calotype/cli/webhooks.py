"""`calotype-manage webhooks`: the events that receivers have not accepted yet, and the last errors."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click
from rich.markup import escape

from calotype.cli.ini import ready_database, takes_settings
from calotype.cli.records import print_records, show_time
from calotype.config.settings import Settings
from calotype.database.database import Database


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """A webhook: the number of waiting events and the time of the oldest one, and the last results.

    `configured` is false if the ini file no longer names the webhook.
    """

    name: str
    configured: bool
    waiting: int
    since: datetime.datetime | None
    delivered_at: datetime.datetime | None
    failed_at: datetime.datetime | None
    last_error: str | None


@click.command(short_help="List the webhooks, and the events that wait for them.")
@takes_settings()
def webhooks(settings: Settings) -> None:
    """List the webhooks: how many events wait for each receiver, and the last error.

    On a terminal the output is text. Otherwise each webhook is a JSON object on a line.
    """
    with ready_database(settings) as database:
        print_records(_find(settings, database), asdict, _to_text)


def _find(settings: Settings, database: Database) -> Iterator[WebhookRecord]:
    states, backlogs = database.webhooks.states(), database.webhooks.backlogs()
    for name in sorted({*settings.webhooks, *states, *backlogs}):
        state, backlog = states.get(name), backlogs.get(name)
        yield WebhookRecord(
            name,
            name in settings.webhooks,
            backlog.waiting if backlog else 0,
            backlog.since if backlog else None,
            state.delivered_at if state else None,
            state.failed_at if state else None,
            state.last_error if state else None,
        )


def _to_text(record: WebhookRecord) -> str:
    """Return a webhook as lines of text."""
    rows = {
        "waiting": f"{record.waiting} events" + (f" since {show_time(record.since)}" if record.since else ""),
        "delivered": record.delivered_at and show_time(record.delivered_at),
        "failed": record.failed_at and show_time(record.failed_at),
        "error": record.last_error and escape(record.last_error),
    }
    lines = [f"  {name:<11}{value}" for name, value in rows.items() if value]
    return "\n".join(
        [f"[bold]{record.name}[/]{'' if record.configured else ' (not in the ini file)'}", *lines]
    )
