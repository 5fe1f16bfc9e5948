"""The verbs `wait` and `watch`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import click

from calotype_client.cli.completing import complete_image, image_argument
from calotype_client.cli.images import COLUMNS
from calotype_client.cli.output import show_records
from calotype_client.cli.printing import human_size, printable
from calotype_client.cli.progress import progress_option, shown_progress
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.client import Client
from calotype_client.errors import CalotypeError, NotSupported
from calotype_client.images import STATUSES
from calotype_client.transfers.progress import Subject
from calotype_client.waiting import Event, changes, events, wait


@click.command("wait")
@image_argument
@click.option(
    "--for", "status", type=click.Choice(STATUSES), default="active", show_default=True, help="The status."
)
@click.option("--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait no longer than that.")
@progress_option
@output_options
@remote_option
@pass_session
def wait_(session: Session, /, image: str, status: str, timeout: float | None, progress: str) -> None:
    """Wait until an image has a status.

    The exit status is 0 when it has it, 1 when it can no longer get it, and 5 after the timeout.

    \b
    Examples:
      calotype wait debian-12
      calotype wait debian-12 --for active --timeout 600
    """
    client, found = session.find(image)
    with shown_progress(progress) as shown:
        shown.begin(Subject.of("wait", found), None)
        found = wait(client, found, status, timeout, shown)
    show_records(session, [found.document], COLUMNS)


@click.command("watch")
@click.argument("image", metavar="[[REMOTE:]IMAGE]", default="", shell_complete=complete_image)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--after", metavar="ID", help="Begin after the event with this id, which -o json shows.")
@output_options
@remote_option
@pass_session
def watch(session: Session, /, image: str, count: int | None, after: str | None) -> None:
    """Follow what happens to images, until Ctrl-C.

    With -o json, each event is a line of JSON. A server without events is asked for its list every 2 s.

    \b
    Examples:
      calotype watch --count 1
      calotype watch debian-12 -o json --count 1
    """
    reference = session.reference(image)
    wanted = reference.find().id if reference.name else None
    found = (event for event in _all(reference.client, after) if wanted is None or _image_of(event) == wanted)
    names: dict[str, str] = {}
    for event in itertools.islice(found, count):
        if session.format == "json":
            click.echo(json.dumps({"id": event.id, "event": event.kind, "data": event.data}))
        else:
            click.echo(_line(event, _name_of(reference.client, event, names)))


def _all(client: Client, after: str | None) -> Iterator[Event]:
    try:
        yield from events(client, after)
    except NotSupported:
        yield from changes(client)


def _image_of(event: Event) -> Any:
    return event.data.get("image") or event.data.get("id")


def _name_of(client: Client, event: Event, names: dict[str, str]) -> str:
    """Return the name of an event's image, which a server's event does not have."""
    image_id = str(_image_of(event))
    if name := event.data.get("name"):
        names[image_id] = str(name)
    elif image_id not in names or event.kind == "changed":
        try:
            names[image_id] = client.show(image_id).name or "-"
        except CalotypeError:  # it is gone by now
            names.setdefault(image_id, "-")
    return names[image_id]


def _line(event: Event, name: str) -> str:
    """Return an event as a line for people."""
    data = event.data
    moment = str(data.get("time") or data.get("updated_at") or "")[11:19]
    words = [moment or " " * 8, f"{event.kind:9}", str(_image_of(event))[:8], name, data.get("status")]
    if isinstance(data.get("bytes"), int):
        total = data.get("total")
        words += [human_size(data["bytes"]) + (f" of {human_size(total)}" if isinstance(total, int) else "")]
    words += [data.get("reason") or data.get("status_reason")]
    return printable("  ".join(str(word) for word in words if word))


COMMANDS = {"wait": wait_, "watch": watch}
