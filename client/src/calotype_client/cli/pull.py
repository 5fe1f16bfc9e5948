"""The verb `pull`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from calotype_client.cli.completing import image_argument
from calotype_client.cli.failures import resumable
from calotype_client.cli.output import show_record
from calotype_client.cli.printing import printable
from calotype_client.cli.progress import progress_option, shown_progress
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.cli.transfer_options import read_options, transfer_options
from calotype_client.client import Client
from calotype_client.images import Image
from calotype_client.transfers.digests import StreamDigest, check_digest
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.progress import Progress, Subject

#: What a file name that an image's name becomes does not contain: separators, and what hides or hurts.
_UNFIT = re.compile(r"[/\\\0-\x1f\x7f]+|^[.\s]+|[.\s]+$")


@click.command("pull")
@image_argument
@click.argument("file", type=click.Path(allow_dash=True), default="")
@click.option("--replace", is_flag=True, help="Replace FILE if it exists.")
@transfer_options
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@progress_option
@output_options
@remote_option
@pass_session
def pull(session: Session, /, image: str, file: str, **given: Any) -> None:
    """Fetch an image into FILE, and verify it.

    Without a FILE, or with a folder, the image's name and format make one. The file appears when it is
    complete. A pull that was interrupted goes on when the same command is run again. FILE can be - for the
    standard output.

    \b
    Examples:
      calotype pull debian-12
      calotype pull prod:debian-12 copy.qcow2 -j 1 --limit-rate 20M
      calotype pull --replace debian-12 copy.qcow2
      calotype pull debian-12 - | sha256sum
    """
    path = Path(file or ".")
    if file.endswith("/") and not path.is_dir():
        raise click.UsageError(f"There is no folder {file!r}.")
    client, found = session.find(image)
    if not file or path.is_dir():
        path /= file_name(found)
    if given["dry_run"]:
        show_record(session, {"id": found.id, "file": str(path), "size": found.size}, ("id", "file"))
        return
    with shown_progress(given["progress"]) as progress:
        if file == "-":
            _to_stdout(client, found, read_options(given), progress)
            return
        with resumable():
            client.pull(found, path, read_options(given), progress)
    show_record(session, {"id": found.id, "file": str(path), "size": found.size}, ("id", "file"))


def file_name(image: Image) -> str:
    """Return the name of a file for an image, in the current folder: never a path, and never hidden."""
    suffix = f".{image.disk_format}" if image.disk_format else ""
    stem = printable(_UNFIT.sub("_", image.name or "")).strip("_") or image.id
    return stem if stem.endswith(suffix) else f"{stem[:200]}{suffix}"


def _to_stdout(client: Client, image: Image, options: TransferOptions, progress: Progress) -> None:
    digest = StreamDigest(image.hash_algorithm or "sha256")
    progress.begin(Subject.of("pull", image), image.size)
    for block in digest.following(client.stream(image, options, progress)):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    check_digest(image, digest.result())


COMMANDS = {"pull": pull}
