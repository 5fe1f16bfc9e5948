"""The verbs `import` and `copy`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from calotype_client.cli.choices import check_choices
from calotype_client.cli.completing import image_argument
from calotype_client.cli.field_options import VISIBILITIES, new_image_options, read_fields
from calotype_client.cli.images import COLUMNS
from calotype_client.cli.output import show_records
from calotype_client.cli.progress import progress_option, shown_progress
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.cli.transfer_options import rate_option, read_options
from calotype_client.client import Client
from calotype_client.errors import CalotypeError, NotSupported
from calotype_client.images import Image
from calotype_client.transfers.progress import Subject
from calotype_client.transfers.relay import Source, fields_of, relay
from calotype_client.transfers.uploads import name_of
from calotype_client.waiting import wait, wait_for_copies


@click.command("import")
@click.argument("url")
@click.argument("image", metavar="[[REMOTE:]NAME]", default="")
@new_image_options
@click.option("--no-wait", is_flag=True, help="Do not wait until the image is active.")
@progress_option
@output_options
@remote_option
@pass_session
def import_(session: Session, /, url: str, image: str, **given: Any) -> None:
    """Let the server fetch an image from a URL, and wait until it is active.

    Without a NAME, the image gets that of the URL's file. Its disk format is that of the name's end, or raw.

    \b
    Examples:
      calotype import http://images.example.com/debian-12.qcow2
      calotype import http://images.example.com/disk.raw web-3 --no-wait
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise click.UsageError(f"This is no URL of a web server: {url!r}.")
    reference = session.reference(image)
    path = PurePosixPath(unquote(urlsplit(url).path))
    fields = read_fields(given, reference.name or name_of(path))
    suffix = path.suffix[1:].lower()
    if fields.disk_format is None and suffix in ("qcow2", "iso", "vmdk", "vhd", "vhdx", "vdi"):
        fields = replace(fields, disk_format=suffix)
    client = reference.client
    if "web-download" not in client.import_methods():
        raise NotSupported(
            f"{client.host} does not let you import from URLs.",
            advice=f"Fetch the file and push it: curl -LO {url} && calotype push {path.name}",
        )
    check_choices(client, filter(None, [given["store"]]), given["disk_format"])
    found = client.create(fields)
    try:
        client.import_from(found, url, [given["store"]] if given["store"] else ())
    except CalotypeError:
        client.delete(found)
        raise
    if not given["no_wait"]:
        with shown_progress(given["progress"]) as progress:
            progress.begin(Subject.of("import", found), None)
            found = wait(client, found, "active", progress=progress)
    show_records(session, [client.show(found).document], COLUMNS)


@click.command("copy")
@image_argument
@click.option("--to", "target", metavar="REMOTE:[NAME]", help="Copy it to this server.")
@click.option("--store", "stores", multiple=True, metavar="STORE", help="Copy it to this store; repeatable.")
@click.option("--all-stores", is_flag=True, help="Copy it to all stores.")
@click.option("--visibility", type=VISIBILITIES, help="Who sees the copy on the other server.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the stores have it.")
@rate_option
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and copy nothing.")
@progress_option
@output_options
@remote_option
@pass_session
def copy(session: Session, /, image: str, **given: Any) -> None:
    """Copy an image to another server, or into other stores of its server.

    Between servers, the bytes pass through this machine but not onto its disk. The fields, the tags and the
    properties come along; the visibility and the members do not.

    \b
    Examples:
      calotype copy prod:debian-12 --to lab:
      calotype copy prod:debian-12 --to lab:debian-12-copy --visibility private --limit-rate 20M
      calotype copy debian-12 --store cold
    """
    to_stores = given["stores"] or given["all_stores"]
    if bool(given["target"]) == bool(to_stores):
        raise click.UsageError("Say where to: either --to REMOTE:, or --store STORE or --all-stores.")
    client, found = session.find(image)
    if given["dry_run"]:
        show_records(session, [found.document], COLUMNS)
        return
    check_choices(client, given["stores"])
    missing = [store for store in given["stores"] if store not in found.stores]
    if given["stores"] and not missing:
        show_records(session, [found.document], COLUMNS)
        return
    with shown_progress(given["progress"]) as progress:
        if to_stores:
            client.copy_to_stores(found, missing)
            progress.begin(Subject.of("copy", found), None)
            copied = found if given["no_wait"] else wait_for_copies(client, found, progress=progress)
        else:
            copied = _copy_to_server(session, client, found, given, progress)
    show_records(session, [copied.document], COLUMNS)


def _copy_to_server(
    session: Session, /, client: Client, image: Image, given: dict[str, Any], progress: Any
) -> Image:
    target = session.reference(given["target"])
    if target.client is session.client() and ":" not in given["target"]:
        raise click.UsageError(f"{given['target']!r} is not the name of a server: write it as REMOTE:")
    fields = replace(fields_of(image), visibility=given["visibility"])
    if target.name:
        fields = replace(fields, name=target.name)
    return relay(Source(client, image, read_options(given), progress), target.client, fields)


COMMANDS = {"import": import_, "copy": copy}
