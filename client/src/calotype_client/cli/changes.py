"""The verbs `set`, `rm` and `undelete`."""

from __future__ import annotations

from typing import Any

import click

from calotype_client.changes import ImageFields
from calotype_client.cli.completing import complete_image, image_argument
from calotype_client.cli.field_options import VISIBILITIES, property_option, read_properties
from calotype_client.cli.images import COLUMNS
from calotype_client.cli.output import show_records
from calotype_client.cli.session import Session, output_options, pass_session, remote_option
from calotype_client.client import Client
from calotype_client.errors import CalotypeError, NotFound
from calotype_client.images import Image

_FIELDS = ("name", "visibility", "owner", "min_disk", "min_ram", "protected", "os_hidden", "disk_format")


@click.command("set")
@image_argument
@click.option("--name", metavar="NAME", help="Rename it.")
@property_option
@click.option(
    "--remove-property", "removed", multiple=True, metavar="KEY", help="Remove a property; repeatable."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Add a tag; repeatable.")
@click.option("--remove-tag", "lost_tags", multiple=True, metavar="TAG", help="Remove a tag; repeatable.")
@click.option("--visibility", type=VISIBILITIES, help="Who sees the image.")
@click.option("--owner", metavar="PROJECT", help="Give it to another project, as an administrator.")
@click.option("--disk-format", metavar="FORMAT", help="Format of the disk, until the image has bytes.")
@click.option("--min-disk", type=click.IntRange(0), metavar="GIB", help="Smallest disk, in GiB.")
@click.option("--min-ram", type=click.IntRange(0), metavar="MIB", help="Smallest memory, in MiB.")
@click.option("--protected/--unprotected", default=None, help="Protect it from deletion, or not.")
@click.option("--hidden/--listed", "os_hidden", default=None, help="Leave it out of lists, or not.")
@click.option("--active/--deactivated", "is_active", default=None, help="Let its bytes be read, or not.")
@output_options
@remote_option
@pass_session
def set_(session: Session, /, image: str, **given: Any) -> None:
    """Change the fields, the properties and the tags of an image.

    Its bytes never change: push a new image instead.

    \b
    Examples:
      calotype set debian-12 --name debian-12.1 -p os_version=12.1
      calotype set debian-12.1 --remove-property os_version --tag stable
      calotype set debian-12.1 --visibility community --protected
      calotype set debian-12.1 --unprotected --name debian-12
    """
    if all(value is None or value == () for value in given.values()):
        raise click.UsageError("Say what to change: see `calotype set --help`.")
    properties = read_properties(given["properties"])
    client, found = session.find(image)
    tags = (set(found.tags) | set(given["tags"])) - set(given["lost_tags"])
    fields = ImageFields(
        properties=properties,
        tags=tuple(sorted(tags)) if tags != set(found.tags) else None,
        **{name: given[name] for name in _FIELDS},
    )
    changed = client.update(found, fields, given["removed"])
    if given["is_active"] is not None:
        act = client.reactivate if given["is_active"] else client.deactivate
        act(found)
        changed = client.show(found)
    show_records(session, [changed.document], COLUMNS)


@click.command("rm")
@click.argument("images", metavar="[REMOTE:]IMAGE...", nargs=-1, required=True, shell_complete=complete_image)
@click.option("--store", metavar="STORE", help="Delete only the copy in this store.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@output_options
@remote_option
@pass_session
def rm(session: Session, /, images: tuple[str, ...], store: str | None, dry_run: bool) -> None:
    """Delete images.

    All images are found before the first one is deleted. If one cannot be deleted, the others are.

    \b
    Examples:
      calotype rm --dry-run web web-2
      calotype rm prod:web web-2
    """
    found = [session.find(each) for each in images]
    failures = [] if dry_run else [*_delete(found, store)]
    status = {} if dry_run or store else {"status": "deleted"}
    deleted = [{**image.document, **status} for _, image in found if image.id not in dict(failures)]
    if deleted:
        show_records(session, deleted, COLUMNS)
    for _, error in failures[:-1]:
        click.echo(f"Error: {error.message}", err=True)
    if failures:
        raise failures[-1][1]


def _delete(found: list[tuple[Client, Image]], store: str | None) -> list[tuple[str, CalotypeError]]:
    failures = []
    for client, image in found:
        try:
            client.delete(image, store)
        except CalotypeError as error:
            failures.append((image.id, error))
    return failures


@click.command("undelete")
@click.argument("image", metavar="[REMOTE:]ID")
@output_options
@remote_option
@pass_session
def undelete(session: Session, /, image: str) -> None:
    """Restore a deleted image within the server's grace period, as an administrator.

    Give the whole id, because a deleted image is no longer listed.

    \b
    Examples:
      calotype undelete 5a1f6c0e-0e56-4a7b-9d0c-0f3a5d1e7b11
    """
    reference = session.reference(image)
    try:
        reference.client.undelete(reference.name)
    except NotFound as error:
        raise NotFound(
            f"There is no deleted image {reference.name!r}, or its bytes are gone.",
            advice="Give the whole id.",
            status=error.status,
            request_id=error.request_id,
        ) from None
    show_records(session, [reference.client.show(reference.name).document], COLUMNS)


COMMANDS = {"set": set_, "rm": rm, "undelete": undelete}
