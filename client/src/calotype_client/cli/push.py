"""The verb `push`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from calotype_client.changes import ImageFields
from calotype_client.cli.choices import check_choices
from calotype_client.cli.failures import resumable
from calotype_client.cli.field_options import new_image_options, read_fields
from calotype_client.cli.images import COLUMNS
from calotype_client.cli.output import show_record, show_records
from calotype_client.cli.progress import progress_option, shown_progress
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.cli.transfer_options import read_options, transfer_options
from calotype_client.client import Client
from calotype_client.formats import HEAD, inspect
from calotype_client.lookup import named
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.pacing import RateLimit
from calotype_client.transfers.progress import Progress, Subject
from calotype_client.transfers.push import plan
from calotype_client.transfers.uploads import name_of

_BLOCK = 1 << 20


@click.command("push")
@click.argument("file", type=click.Path(allow_dash=True))
@click.argument("image", metavar="[[REMOTE:]NAME]", default="")
@new_image_options
@transfer_options
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@progress_option
@output_options
@remote_option
@pass_session
def push(session: Session, /, file: str, image: str, **given: Any) -> None:
    """Send FILE as a new image, and verify it.

    Without a NAME, the image gets the file's. Its format is inspected before anything is sent. A push that
    was interrupted goes on when the same command is run again. FILE can be - for the standard input, which
    cannot be resumed.

    \b
    Examples:
      calotype push debian-12.qcow2
      calotype push disk.raw prod:web --tag web -p os_distro=debian --visibility shared
      calotype push --dry-run --limit-rate 20M disk.raw
      cat disk.raw | calotype push - web-2 --disk-format raw
    """
    reference = session.reference(image)
    fields = read_fields(given, reference.name)
    if given["dry_run"]:
        show_record(session, plan(Path(file), fields, read_options(given)), ("name", "disk_format", "size"))
        return
    check_choices(reference.client, filter(None, [given["store"]]), given["disk_format"])
    name = fields.name or name_of(Path(file))
    if any(named(reference.client, name, {"status": "active"})):
        click.echo(f"Note: there is already an image {name!r}. Only ids tell them apart.", err=True)
    with shown_progress(given["progress"]) as progress:
        if file == "-":
            found = _push_stdin(reference.client, fields, read_options(given), progress)
        else:
            with resumable():
                found = reference.client.push(file, fields, read_options(given), progress)
    show_records(session, [found.document], COLUMNS)


def _push_stdin(client: Client, fields: ImageFields, options: TransferOptions, progress: Progress) -> Any:
    if fields.name is None:
        raise click.UsageError("The standard input has no name: give one after the dash.")
    head = sys.stdin.buffer.read(HEAD)
    if not head:
        raise click.UsageError("The standard input is empty.")
    found = inspect(head, fields.disk_format, fields.container_format)
    progress.begin(Subject("push", fields.name), None)
    return client.push_stream(_blocks(head, options, progress), replace(fields, disk_format=found), options)


def _blocks(head: bytes, options: TransferOptions, progress: Progress) -> Iterator[bytes]:
    rate, block = RateLimit(options.rate), head
    while block:
        rate.take(len(block))
        yield block
        progress.advance(len(block))
        block = sys.stdin.buffer.read(_BLOCK)


COMMANDS = {"push": push}
