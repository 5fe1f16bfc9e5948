"""The commands that answer an operator's questions from the database: who uploads, what failed, and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import click

from calotype.cli.ini import Command, ready_database, takes_settings
from calotype.cli.records import print_table, show_size, show_time
from calotype.config.messages import counted
from calotype.config.settings import Settings
from calotype.database.keysets import Page
from calotype.model.overviews import RunningTransfer
from calotype.operations.failures import failures as find_failures
from calotype.operations.pending import count_pending, pending_removals
from calotype.operations.processes import serving_processes
from calotype.operations.transfers import running_transfers
from calotype.operations.usage import project_limits, project_usage, unused_images

Record = TypeVar("Record")
Columns = Mapping[str, Callable[[Any], object]]


def _takes_limit(command: Command) -> Command:
    """Add the options --limit and --json to a command."""
    limit = click.option(
        "--limit",
        type=click.IntRange(1, 1_000_000),
        default=100,
        show_default=True,
        metavar="N",
        help="Print at most N of them.",
    )
    return limit(as_json_option(command))


as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object on each line, even on a terminal."
)


def _show(
    page: Page[Record],
    columns: Columns,
    to_json: Callable[[Any], Mapping[str, Any]] = asdict,
    *,
    as_json: bool,
) -> None:
    """Print a page, and say on standard error if there are more records."""
    print_table(page.records, columns, to_json, as_json=as_json)
    if page.more:
        click.echo("calotype-manage: there are more: raise --limit to see them", err=True)


@click.command()
@takes_settings()
@_takes_limit
def transfers(settings: Settings, limit: int, *, as_json: bool) -> None:
    """Show who uploads now, and how fast.

    This lists the uploads, imports and copies that run, and the open upload sessions, oldest first. Sizes
    are in bytes, and rates in bytes per second since the beginning. A session is listed until it expires,
    even while no request sends bytes. An upload whose process was killed is listed until a sweep.
    """
    with ready_database(settings) as database:
        _show(running_transfers(database, settings, limit), _TRANSFER, _transfer_to_json, as_json=as_json)


def _transfer_to_json(transfer: RunningTransfer) -> dict[str, Any]:
    return {**asdict(transfer), "rate": transfer.rate}


_TRANSFER: Columns = {
    "began": lambda one: show_time(one.began_at),
    "kind": lambda one: one.kind,
    "image": lambda one: one.image_id if one.image_name is None else f"{one.image_id} {one.image_name}",
    "project": lambda one: one.project,
    "store": lambda one: one.store,
    "moved": lambda one: f"{show_size(one.moved)} of {show_size(one.total)}",
    "rate": lambda one: "-" if one.rate is None else f"{show_size(one.rate)}/s",
    "process": lambda one: "-" if one.host is None else f"{one.host} {one.pid}",
}


@click.command()
@takes_settings()
@_takes_limit
def failures(settings: Settings, limit: int, *, as_json: bool) -> None:
    """Show what failed, and why.

    This lists failed changes of images, open findings, and webhooks, newest first. The changes are uploads,
    imports and copies in the audit records, which the database keeps for calotype.audit_retention. A webhook
    is listed if its receiver refused the last event.
    """
    with ready_database(settings) as database:
        _show(find_failures(database, limit), _FAILURE, as_json=as_json)


_FAILURE: Columns = {
    "time": lambda one: show_time(one.at),
    "what": lambda one: f"{one.kind}: {one.what}",
    "subject": lambda one: one.image_id or one.store or one.id,
    "project": lambda one: one.project,
    "reason": lambda one: one.reason,
}


@click.command()
@takes_settings()
@_takes_limit
def usage(settings: Settings, limit: int, *, as_json: bool) -> None:
    """Show how much each project stores.

    This lists the projects with their images, bytes and open upload sessions, most bytes first. Images and
    bytes are those that count against calotype.project_images and calotype.project_bytes.
    """
    limits = project_limits(settings)
    most = {"max_images": limits.images, "max_bytes": limits.bytes, "max_sessions": settings.project_uploads}
    with ready_database(settings) as database:
        page = project_usage(database, limit)
    _show(page, _USAGE, lambda one: {**asdict(one), **most}, as_json=as_json)


_USAGE: Columns = {
    "project": lambda one: one.project,
    "images": lambda one: one.images,
    "size": lambda one: show_size(one.bytes),
    "open sessions": lambda one: one.sessions,
}


@click.command()
@takes_settings()
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=90,
    show_default=True,
    metavar="N",
    help="Only images that nobody has read for N days.",
)
@_takes_limit
def unused(settings: Settings, days: int, limit: int, *, as_json: bool) -> None:
    """Show the images that nobody downloads.

    This lists the active images that nobody has read for 90 days, or for --days, oldest first. Images that
    became active within these days are left out. The database keeps counts of downloads for
    calotype.download_retention.
    """
    with ready_database(settings) as database:
        found = unused_images(database, days, limit)
    _show(found.page, _UNUSED, as_json=as_json)
    counts = "there are no counts of downloads yet"
    if found.counted_since is not None:
        counts = f"downloads before {found.counted_since:%F} are not counted"
    click.echo(f"calotype-manage: {counts}", err=True)


_UNUSED: Columns = {
    "image": lambda one: one.id,
    "name": lambda one: one.name,
    "project": lambda one: one.project,
    "size": lambda one: show_size(one.size),
    "created": lambda one: show_time(one.created_at),
    "last download": lambda one: one.last_download or "never",
}


@click.command()
@takes_settings()
@_takes_limit
def pending(settings: Settings, limit: int, *, as_json: bool) -> None:
    """Show the bytes that sweeps will remove, when, and why.

    These are the bytes of abandoned uploads, of deleted images and copies, and of open upload sessions,
    which expire unless more bytes arrive. The first due are first.
    """
    with ready_database(settings) as database:
        page, counts = pending_removals(database, limit), count_pending(database)
    _show(page, _PENDING, as_json=as_json)
    kinds = (counted(count, kind) for kind, count in counts.items())
    click.echo(f"calotype-manage: {', '.join(kinds)}", err=True)


_PENDING: Columns = {
    "due": lambda one: show_time(one.due),
    "why": lambda one: one.kind,
    "image": lambda one: one.image_id,
    "store": lambda one: one.store,
    "size": lambda one: show_size(one.size),
}


@click.command()
@takes_settings()
@as_json_option
def processes(settings: Settings, *, as_json: bool) -> None:
    """Show the processes that serve, and on which machines.

    A process is considered dead if it has written no heartbeat for 45 seconds. Its row stays for a day.
    """
    with ready_database(settings) as database:
        found = serving_processes(database)
    print_table(found, _PROCESS, lambda one: {**asdict(one.process), "alive": one.is_alive}, as_json=as_json)


_PROCESS: Columns = {
    "host": lambda one: one.process.host,
    "pid": lambda one: one.process.pid,
    "version": lambda one: one.process.version,
    "started": lambda one: show_time(one.process.started_at),
    "last heartbeat": lambda one: show_time(one.process.seen_at),
    "alive": lambda one: "yes" if one.is_alive else "no",
}
